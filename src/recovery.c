// SPDX-License-Identifier: Apache-2.0
/*
 * First the lock: two daemons would carry out one journal twice, and each
 * commit over what the other has staged. Then the journal: until it is carried
 * out the files are not what they are to be.
 *
 * A store that can't be locked (NFS) is mounted all the same, as is one that
 * can't be written while nothing has to be written to it.
 */
#include "recovery.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "store/claim.h"
#include "store/recover_text.h"
#include "util/line.h"
#include "util/log.h"

/* Of a message about a journal, which begins with its path. */
#define REASON_MAX (PATH_MAX + 1024)

static int take_lock(const char *store, int fd, char *error, size_t error_size)
{
	char reason[REASON_MAX];
	int r = claim_store(fd, store, reason, sizeof(reason));

	if (r == -EBUSY)
		return line_fail(error, error_size, EBUSY, "store '%s': %s",
			store, reason);
	if (r < 0)
		log_event(event_store_unlocked, "store '%s': %s", store,
			reason);
	return 0;
}

/* The reason names the journal with its path. */
static int fail(const char *store, int r, const char *reason, char *error,
	size_t error_size)
{
	if (reason[0] != '\0')
		return line_fail(error, error_size, -r, "%s", reason);
	return line_fail(error, error_size, -r, "store '%s': %s", store,
		strerror(-r));
}

static int discard_journal(const char *store, int fd, char *error,
	size_t error_size)
{
	struct recovery lost = { 0 };
	char reason[REASON_MAX] = "";
	char text[RECOVER_TEXT_MAX];
	int r = recover_discard(fd, &lost, reason, sizeof(reason));

	if (r < 0)
		return fail(store, r, reason, error, error_size);
	if (!lost.found)
		return 0;
	recover_summary(text, "lost are", &lost);
	log_event(event_journal_discarded, "store '%s': its journal was thrown "
		"away (discard-journal)%s%s", store,
		text[0] != '\0' ? ": " : "", text);
	return 0;
}

/*
 * The store is only its files then, also if no file is staged on this mount.
 * If it can't be removed it stays empty.
 */
static void remove_journal(int fd)
{
	struct recovery nothing = { 0 };
	char reason[REASON_MAX] = "";
	int r = recover_discard(fd, &nothing, reason, sizeof(reason));

	if (r < 0 && r != -EROFS && r != -EACCES && r != -EPERM)
		log_event(event_journal_kept, "%s", reason);
}

static int recover(const char *store, int fd, char *error, size_t error_size)
{
	struct recovery recovery = { 0 };
	char reason[REASON_MAX] = "";
	char text[RECOVER_TEXT_MAX];
	int r = recover_store(fd, false, &recovery, reason, sizeof(reason));

	if ((r == -EROFS || r == -EACCES || r == -EPERM) && reason[0] != '\0')
		return line_fail(error, error_size, -r, "%s: see to it that "
			"you can write the store (or be root) for one mount "
			"or msyncctl recover", reason);
	if (r < 0)
		return fail(store, r, reason, error, error_size);
	recover_summary(text, "recovered", &recovery);
	if (text[0] != '\0')
		log_event(event_recovered, "store '%s': %s", store, text);
	if (recovery.found)
		remove_journal(fd);
	return 0;
}

int recovery_run(const char *store, int fd, bool discard, char *error,
		 size_t error_size)
{
	int r = take_lock(store, fd, error, error_size);

	if (r < 0)
		return r;
	return discard ? discard_journal(store, fd, error, error_size)
		       : recover(store, fd, error, error_size);
}
