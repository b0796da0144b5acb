/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one list of everything that the daemon tells people in its log: the
 * manual page's MESSAGES are checked against it. Only log.c makes code of it,
 * so that a program without a log has none of it. Pure.
 *
 *	EVENT(NAME, LEVEL, LIMIT, ADVICE)
 *
 * NAME is how a program recognises the event, with dashes for underscores: it
 * stays when the words of a message change. A message says what happened to
 * what; ADVICE follows it and says what the reader can do. It is empty only
 * for level info.
 *
 * LIMIT is about many lines of one event:
 *	some	ten at once, then one in five seconds
 *	many	answers to what a user has asked for: 200, then one a second
 *	once	a property of the machine or of the store
 *	table	no limit and no name at the end: lines of an answer as a whole
 */
#ifndef MSYNCFS_UTIL_EVENT_LIST_H
#define MSYNCFS_UTIL_EVENT_LIST_H

/* clang-format off */
#define EVENT_LIST(EVENT)                                                      \
	/* the mount's life */                                                 \
	EVENT(mounted, info, some, "")                                         \
	EVENT(unmounted, info, some, "")                                       \
	EVENT(requests, info, table, "")                                       \
	EVENT(start_failed, error, some,                                       \
		"nothing is mounted: put that right and mount again")          \
	EVENT(end_failed, error, some,                                         \
		"the mount has ended; check the store's device (dmesg(1), "    \
		"smartctl(8)) and the files that were written last")           \
	EVENT(requests_stuck, error, some,                                     \
		"the mount ends without them and they fail; check whether the "\
		"store's device answers: dmesg(1)")                            \
	EVENT(requests_lost, error, some,                                      \
		"the mount ends here; unmount it and mount again, and report " \
		"it with the output of uname -r")                              \
	EVENT(request_malformed, error, some,                                  \
		"a fault of the kernel or of msyncfs: report it with the "     \
		"output of uname -r and msyncfs -V")                           \
	EVENT(log_not_reopened, error, some,                                   \
		"the old file goes on being used; see to it that the new one " \
		"can be made and send SIGHUP again")                           \
	/* the machine */                                                      \
	EVENT(libfuse_old, warning, once,                                      \
		"install libfuse 3.14 or newer and build msyncfs with it")     \
	EVENT(passthrough_refused, warning, once,                              \
		"such files work through the daemon, more slowly; msyncctl "   \
		"doctor says what the machine lacks")                          \
	EVENT(proc_missing, warning, once,                                     \
		"mount proc(5) on /proc; until then extended attributes are "  \
		"slow and messages lack paths")                                \
	EVENT(umask_shared, warning, once,                                     \
		"new files may get wrong modes where programs have different " \
		"umasks; allow unshare(2) with CLONE_FS (seccomp filters)")    \
	EVENT(identity_stuck, error, some,                                     \
		"requests may be refused wrongly; mount again, and allow the " \
		"daemon setresuid(2), setgroups(2) and capset(2)")             \
	EVENT(workers_few, warning, once,                                      \
		"requests wait for each other; raise the limit of processes "  \
		"(ulimit -u, TasksMax= of systemd) or lower threads=")         \
	EVENT(sync_workers_few, warning, once,                                 \
		"syncs wait for each other; raise the limit of processes "     \
		"(ulimit -u, TasksMax= of systemd)")                           \
	EVENT(metrics_unwritten, error, some,                                  \
		"the mount goes on without and tries again; make room, or "    \
		"mount with metrics= in a directory where it may write")       \
	EVENT(metrics_resumed, info, some, "")                                 \
	/* the store */                                                        \
	EVENT(store_unlocked, warning, some,                                   \
		"see to it that nobody else mounts this store: two daemons "   \
		"would damage its staged files")                               \
	EVENT(store_overlaps, warning, some,                                   \
		"use the files that both have through one of the two mounts "  \
		"only: neither knows what the other holds in memory")          \
	EVENT(store_spans, warning, once,                                      \
		"mount with cross_mounts to enter it, or mount it with an "    \
		"msyncfs of its own")                                          \
	EVENT(sync_failed, error, some,                                        \
		"what was written since the last sync may be lost; check the " \
		"store's device (dmesg(1), smartctl(8)), then write it anew "  \
		"or take it from a backup")                                    \
	EVENT(mapped_unwritten, error, some,                                   \
		"what programs changed in mapped files may not be in the "     \
		"store; have them call msync(2), and check dmesg(1)")          \
	/* staged files */                                                     \
	EVENT(recovered, info, some, "")                                       \
	EVENT(journal_discarded, warning, some,                                \
		"compare the files that were written last with a backup, and " \
		"take discard-journal out of the options")                     \
	EVENT(journal_kept, warning, some,                                     \
		"it is empty and does no harm; it can be removed while the "   \
		"store isn't mounted")                                         \
	EVENT(staging_refused, error, some,                                    \
		"opening staged files fails until that is put right: look at " \
		"the store's free space, at the options journal-size and "     \
		"stage-limit, and at msyncctl journal STORE")                  \
	EVENT(commit_failed, error, some,                                      \
		"nothing is lost while the mount lives and it is tried again; "\
		"make room or mend the store's device before unmounting")      \
	EVENT(commits_resumed, info, some, "")                                 \
	EVENT(commit_unapplied, error, some,                                   \
		"it is safe in the journal and tried again; make room in the " \
		"store or mend its device")                                    \
	EVENT(checkpoint_failed, error, some,                                  \
		"no more is committed, what was is in the journal; check the " \
		"store's device, then unmount and mount again to have it "     \
		"carried out anew")                                            \
	EVENT(journal_full, warning, some,                                     \
		"a power cut just now may leave these files half written; "    \
		"make room in the store before the next unmount")              \
	/* policies */                                                         \
	EVENT(attribute_refused, warning, many,                                \
		"nothing was changed; see msyncfs-xattr(7)")                   \
	EVENT(policy_ignored, warning, some,                                   \
		"the file is used as if it had none; set it again or remove "  \
		"it with msyncctl, see msyncfs-xattr(7)")                      \
	EVENT(policy_unstored, warning, once,                                  \
		"set defaults with mount options, or keep the store on a "     \
		"writable file system that has user extended attributes")      \
	EVENT(map_elsewhere, warning, once,                                    \
		"such files are shared; mount that file system with an "       \
		"msyncfs of its own")                                          \
	EVENT(map_unchanged, warning, some,                                    \
		"the file stays as it is until a commit succeeds: look for "   \
		"commit-failed before this, then set it again")                \
	EVENT(policies_read, info, many, "")                                   \
	EVENT(policies_refused, error, many,                                   \
		"the rules from before still hold; put the policy file right " \
		"and send SIGHUP again, see msyncfs(1)")                       \
	EVENT(policies_late, error, many,                                      \
		"those files get their policies when they are opened next; "   \
		"or make memory free and send SIGHUP again")                   \
	EVENT(path_unknown, warning, once,                                     \
		"no rule of the policy file holds for such files; set their "  \
		"policies themselves, with msyncctl")                          \
	EVENT(lock_failed, warning, some,                                      \
		"raise lock-limit= or the limit of the process "               \
		"(ulimit -l, LimitMEMLOCK= of systemd), or lock fewer files")
/* clang-format on */

#endif
