// SPDX-License-Identifier: Apache-2.0
/*
 * Counted first and taken under the same lock: whoever looks at files with
 * system calls must not keep others from opening some.
 */
#include "core/file_list.h"

#include <stdlib.h>

#include "core/file.h"
#include "core/filesystem.h"

struct file **file_list_take(struct filesystem *fs, size_t *count)
{
	struct file **files;
	struct file *file;
	size_t room = 0;

	*count = 0;
	lock_take(&fs->files_lock, lock_rank_open_files);
	TAILQ_FOREACH (file, &fs->files, link)
		room++;
	files = calloc(room + 1, sizeof(struct file *));
	TAILQ_FOREACH (file, &fs->files, link) {
		if (files && file_try_hold(file))
			files[(*count)++] = file;
	}
	lock_drop(&fs->files_lock, lock_rank_open_files);
	return files;
}
