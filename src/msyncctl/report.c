// SPDX-License-Identifier: Apache-2.0
/* The newest entry is the last of the list, so a failure finds its file. */
#include "msyncctl/report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "msyncctl/output.h"
#include "msyncctl/progress.h"

#define MESSAGE_SIZE 8192

void report_begin(struct report *report, const struct context *context)
{
	*report = (struct report){
		.context = context,
		.list = context->json ? json_array() : NULL,
	};
}

json_t *report_entry(struct report *report, const char *path)
{
	json_t *entry = json_object();

	json_object_set_new(entry, "file", output_json_text(path));
	json_array_append_new(report->list, entry);
	return entry;
}

static json_t *last_entry(struct report *report, const char *path)
{
	size_t count = json_array_size(report->list);
	json_t *entry, *name;
	bool same;

	if (count == 0)
		return report_entry(report, path);
	entry = json_array_get(report->list, count - 1);
	name = output_json_text(path);
	same = json_equal(json_object_get(entry, "file"), name);
	json_decref(name);
	return same ? entry : report_entry(report, path);
}

const char *report_reason(int errnum)
{
	if (errnum == ENOTCONN || errnum == ECONNABORTED)
		return "the daemon of this mount has ended: umount or "
		       "fusermount3 -u removes the mount, then mount anew";
	return strerror(errnum);
}

int report_failure(struct report *report, const char *path, int status,
	const char *format, ...)
{
	char message[MESSAGE_SIZE];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	progress_hide();
	output_error(path, "%s", message);
	if (report->list)
		json_object_set_new(last_entry(report, path), "error",
			output_json_text(message));
	if (status > report->status)
		report->status = status;
	return status;
}

int report_end(struct report *report)
{
	progress_hide();
	if (report->list)
		output_json(report->list);
	if (!output_finish() && report->status == exit_ok)
		report->status = exit_failed;
	return report->status;
}
