// SPDX-License-Identifier: Apache-2.0
/* What options_parse() understands, as text for people. */
#include "options.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

const char *options_help_text(void)
{
	return
"usage: msyncfs [options] STORE MOUNTPOINT\n"
"\n"
"Shows the directory STORE at MOUNTPOINT.\n"
"\n"
"  -f                   stay in the foreground (default: a daemon)\n"
"  -d                   debug: -f, and a log of what happens\n"
"  -o OPTION[,OPTION]   mount options, below; a backslash before a comma\n"
"                       makes it a part of a value; the last one wins\n"
"  --discard-journal    as the option of that name\n"
"  -h, --help           this text\n"
"  -V, --version        the version\n"
"\n"
"Mount options:\n"
"  data=auto|kernel|daemon\n"
"                       how reads and writes travel: kernel: straight to\n"
"                       the store file; daemon: through the daemon's\n"
"                       mapping; auto: kernel where possible (auto)\n"
"  threads=N            threads that serve requests, 2 to 256 (64)\n"
"  attr_timeout=S       seconds that attributes are cached (1)\n"
"  entry_timeout=S      seconds that names are cached (1)\n"
"  negative_timeout=S   seconds that missing names are cached (1)\n"
"  [no]allow_other      all users have access, as file modes allow it\n"
"                       (on for root, off for other users)\n"
"  [no]allow_root       root has access too, and no other user (off)\n"
"  [no]auto_unmount     unmount when the daemon dies (off)\n"
"  lock-limit=SIZE      the most that lock=on holds in memory (the limit\n"
"                       of the process, for root none)\n"
"  stage-limit=SIZE     the most memory that staged and private files take\n"
"                       (a quarter of the machine's)\n"
"  journal-size=SIZE    what a new journal of staged files has (32M)\n"
"  discard-journal      throw away what a crash has left in the journal,\n"
"                       instead of carrying it out (off)\n"
"  [no]cross_mounts     show filesystems mounted inside the store (off)\n"
"  [no]fsync            the daemon is asked at each fsync; nofsync has the\n"
"                       kernel answer, so that no file's policy can make\n"
"                       it wait: with sync=fsync=defer only, and\n"
"                       not with map=staged (on)\n"
"  log=stderr|syslog|journal|FILE\n"
"                       where messages go (stderr with -f, which is the\n"
"                       journal for a service of systemd; else syslog)\n"
"  metrics=FILE         a file that is written now and then, with what the\n"
"                       mount does, for Prometheus' node_exporter: see\n"
"                       docs/watching.md (none)\n"
"  metrics-every=TIME   how often, at least 1s (15s)\n"
"  fsname=NAME          the source that mount(8) shows (STORE)\n"
"  default_permissions  the kernel checks file modes and ACLs (always on)\n"
"  remount              change the mount flags of an existing mount\n"
"\n"
"Policies of files and directories that have none of their own, see\n"
"msyncfs-xattr(7); lists are joined by '+':\n"
"  advise=LIST          how mappings are advised: normal, random or\n"
"                       sequential, hugepage or nohugepage, willneed (normal)\n"
"  sync=LIST            when data is synced and what fsync means: strict,\n"
"                       relaxed, manual, fsync=honor, fsync=group:TIME,\n"
"                       fsync=defer, every=TIME, dirty=SIZE, close (strict)\n"
"  map=shared|private|staged\n"
"                       how writes reach the store: at once; never; in\n"
"                       commits of all staged files together (shared)\n"
"  lock=off|on|onfault  keep files' pages in memory (off)\n"
"  grow=LIST            chunk=SIZE, max=SIZE, trim: allocate ahead, limit\n"
"                       the size, give back at last close (off)\n"
"  append=off|on        only appending is allowed (off)\n"
"  policy-file=FILE     a file with lines GLOB POLICY=VALUE..., such as\n"
"                       \"logs/** sync=relaxed\": what holds for paths in\n"
"                       the store, before the options above; SIGHUP has\n"
"                       it read again (none)\n"
"\n"
"Mount flags (the first of each is the default):\n"
"  rw|ro  nosuid|suid  nodev|dev  exec|noexec  async|sync  dirsync\n"
"  relatime|norelatime  atime|noatime  diratime|nodiratime\n"
"  nostrictatime|strictatime  nolazytime|lazytime  symfollow|nosymfollow\n"
"\n"
"From mount(8) and fstab(5), where suid and dev are the default: options\n"
"for mount(8) itself are ignored (auto, noauto, user, users, owner, group,\n"
"nofail, _netdev, defaults, comment=, uhelper=, x-*).\n";
}

/* These stand for somebody who put a comma where a policy takes a plus. */
const char *options_unknown_advice(const char *name)
{
	static const char *const parts[] = { "every", "dirty", "close",
		"chunk", "max", "trim", "random", "sequential", "willneed" };

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (strcmp(name, parts[i]) == 0)
			return "expected the parts of a policy joined by '+', "
			       "as in sync=relaxed+every=2s";
	}
	return "see --help";
}

void options_print_version(void)
{
	puts("msyncfs " MSYNCFS_VERSION);
}
