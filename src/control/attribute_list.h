/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one list of everything that can be asked of a file by name: what
 * getfattr(1), setfattr(1), msyncctl(1) and the manual page know is made
 * from it, or checked against it. Pure; a program of its own may include it.
 *
 *	ATTRIBUTE(NAME, KIND, WHERE, VALUES, HELP)
 *
 * NAME follows ATTRIBUTE_PREFIX. KIND: policy is kept and listed, action is
 * done once when it is set, status can only be read. WHERE: the kinds of
 * file that have it.
 */
#ifndef MSYNCFS_CONTROL_ATTRIBUTE_LIST_H
#define MSYNCFS_CONTROL_ATTRIBUTE_LIST_H

#define ATTRIBUTE_PREFIX "user.msyncfs."

enum attribute_kind {
	attribute_policy,
	attribute_action,
	attribute_status,
};

enum attribute_where {
	attribute_on_file = 1, /* regular files */
	attribute_on_directory = 2, /* directories, the root as well */
	attribute_on_root = 4, /* the mount's root only */
};

/* clang-format off */
#define ATTRIBUTE_LIST(ATTRIBUTE)                                              \
	ATTRIBUTE("advise", policy, attribute_on_file | attribute_on_directory,\
		"normal|random|sequential+hugepage|nohugepage+willneed",       \
		"how the mapping is advised whenever it is made")              \
	ATTRIBUTE("advise.now", action, attribute_on_file,                     \
		"normal|random|sequential|willneed|dontneed|cold|pageout|"     \
		"populate-read|populate-write|hugepage|nohugepage|collapse|"   \
		"dontdump|dodump|remove [@OFFSET+LENGTH]",                     \
		"advises the mapping and the page cache once")                 \
	ATTRIBUTE("sync", policy, attribute_on_file | attribute_on_directory,  \
		"strict|relaxed|manual|fsync=honor|group:DUR|defer+"           \
		"every=DUR+dirty=SIZE+close",                                  \
		"when data is synced, and what fsync means")                   \
	ATTRIBUTE("sync.now", action, attribute_on_file | attribute_on_root,   \
		"wait|start+invalidate [@OFFSET+LENGTH]",                      \
		"syncs once; on the root everything")                          \
	ATTRIBUTE("discard.now", action, attribute_on_file, "all",             \
		"drops uncommitted changes of a private or staged file")       \
	ATTRIBUTE("map", policy, attribute_on_file | attribute_on_directory,   \
		"shared|private|staged", "how writes reach the store")         \
	ATTRIBUTE("data", policy, attribute_on_file | attribute_on_directory,  \
		"auto|kernel|daemon", "which way reads and writes travel")     \
	ATTRIBUTE("lock", policy, attribute_on_file | attribute_on_directory,  \
		"off|on|onfault", "keeps the file's pages in memory")          \
	ATTRIBUTE("grow", policy, attribute_on_file | attribute_on_directory,  \
		"chunk=SIZE+max=SIZE+trim",                                    \
		"allocates ahead, limits the size")                            \
	ATTRIBUTE("append", policy, attribute_on_file | attribute_on_directory,\
		"on|off", "only appending is allowed")                         \
	ATTRIBUTE("residency", status, attribute_on_file,                      \
		"PAGES RESIDENT DIRTY WRITEBACK EVICTED",                      \
		"how many pages are in memory")                                \
	ATTRIBUTE("residency.map", status, attribute_on_file,                  \
		"OFFSET+LENGTH STATE...", "which parts are in memory")         \
	ATTRIBUTE("status", status, attribute_on_file | attribute_on_directory,\
		"KEY=VALUE lines", "everything known of a file")               \
	ATTRIBUTE("stats", status, attribute_on_root,                          \
		"KEY=VALUE lines", "totals of the mount")                      \
	ATTRIBUTE("metrics", status, attribute_on_root,                        \
		"text for Prometheus", "the totals for a monitoring system")   \
	ATTRIBUTE("files", status, attribute_on_root,                          \
		"REQUESTS DIRTY_BYTES SYNC_NS PATH lines",                     \
		"the open files that are used most")
/* clang-format on */

#endif
