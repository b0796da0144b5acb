/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recovery in words, for the daemon's log and for msyncctl. The caller owns
 * the text. Any thread.
 */
#ifndef MSYNCFS_STORE_RECOVER_TEXT_H
#define MSYNCFS_STORE_RECOVER_TEXT_H

#include "store/recover.h"

#define RECOVER_TEXT_MAX 256

/*
 * "VERB 3 commits: 12 changes of files, 4.5 MiB; ...", with what was dropped
 * and what is gone; "" if there was nothing at all. verb: "recovered".
 */
const char *recover_summary(char text[RECOVER_TEXT_MAX], const char *verb,
			    const struct recovery *recovery);

#endif
