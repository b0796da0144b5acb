// SPDX-License-Identifier: Apache-2.0
/*
 * The table is mount(8)'s and written by nobody else: "mount --fake" makes a
 * line of it. One that is there already (mount(8) has started us with options
 * to note, or a daemon before us was killed) is not made twice.
 */
#include "utab.h"

#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/log.h"

#define TABLE "/run/mount/utab"

/* As mount(8) escapes them: " TARGET=/a\040b " in a line. */
static void format_target(char *text, const char *path)
{
	text += sprintf(text, " TARGET=");
	for (; *path; path++) {
		if (strchr(" \t\n\\", *path))
			text += sprintf(text, "\\%03o", (unsigned char)*path);
		else
			*text++ = *path;
	}
	strcpy(text, " ");
}

static bool is_noted(const char *mountpoint)
{
	char target[4 * PATH_MAX + 16];
	owned_memory char *line = NULL;
	size_t room = 0;
	FILE *table = fopen(TABLE, "re");
	bool found = false;

	if (!table)
		return false;
	format_target(target, mountpoint);
	while (!found && getline(&line, &room, table) >= 0)
		found = strstr(line, target) != NULL;
	fclose(table);
	return found;
}

void utab_note(const char *store, const char *mountpoint)
{
	static char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
	/* The second where /usr is not merged. */
	static const char *const programs[] = { "/usr/bin/mount",
						"/bin/mount" };
	char *arguments[] = {
		(char *)"mount", (char *)"--internal-only", (char *)"--fake",
		(char *)"-t", (char *)"fuse.msyncfs",
		(char *)"-o", (char *)"uhelper=fuse.msyncfs",
		(char *)"--", (char *)store, (char *)mountpoint, NULL,
	};
	char *environment[] = { path, NULL };
	posix_spawn_file_actions_t actions;
	int status = 0;
	pid_t pid;

	if (geteuid() != 0 || is_noted(mountpoint) ||
		posix_spawn_file_actions_init(&actions) != 0)
		return;
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		posix_spawn_file_actions_addopen(&actions, fd, "/dev/null",
			O_RDWR, 0);
	if (posix_spawn(&pid, programs[0], &actions, NULL, arguments,
		environment) == 0 ||
		posix_spawn(&pid, programs[1], &actions, NULL, arguments,
			environment) == 0)
		waitpid(pid, &status, 0);
	else
		status = -1;
	posix_spawn_file_actions_destroy(&actions);
	if (status != 0)
		log_debug("umount(8) will not wait: not noted in " TABLE);
}
