// SPDX-License-Identifier: Apache-2.0
/*
 * What was before is read from status, which knows the value that acts and
 * where it comes from; the attribute itself is there only if it was set on
 * this very file. It is read only if somebody is told.
 */
#include "msyncctl/change.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "msyncctl/attr.h"
#include "msyncctl/output.h"
#include "msyncctl/progress.h"
#include "util/cleanup.h"

#define VALUE_MAX 1024

struct old {
	char value[VALUE_MAX]; /* empty: not known */
	char from[32]; /* "file", "policy-file:3", "mount", "builtin" */
};

void change_refusal(char text[CHANGE_REFUSAL_MAX],
	const struct attribute *attribute, const char *value, int error)
{
	const char *equals = value ? "=" : "";
	const char *name = attribute->name;
	char reason[CHANGE_REFUSAL_MAX / 2];

	switch (-error) {
	case EINVAL:
		snprintf(reason, sizeof(reason),
			"refused by the mount: expected %s",
			attribute->values);
		break;
	case ERANGE:
		snprintf(reason, sizeof(reason), "too large");
		break;
	case EOPNOTSUPP:
		snprintf(reason, sizeof(reason),
			"not available on this mount or file");
		break;
	case ENOMEM:
		snprintf(reason, sizeof(reason),
			"not enough memory, or past the mount's lock limit");
		break;
	case EACCES:
	case EPERM:
		snprintf(reason, sizeof(reason), "not permitted (%s)",
			strerror(-error));
		break;
	default:
		snprintf(reason, sizeof(reason), "%s", report_reason(-error));
	}
	snprintf(text, CHANGE_REFUSAL_MAX, "%s%s%.200s: %s", name, equals,
		value ? value : "", reason);
}

bool change_fits(struct report *report, const struct target *target,
	const struct attribute *attribute)
{
	if (attribute->where & target->kind)
		return true;
	if (target->exact)
		report_failure(report, target->path, exit_failed,
			"%s is for %s", attribute->name,
			attribute_where_name(attribute->where));
	return false;
}

static bool is_told(const struct change_list *list)
{
	return list->flags.dry_run || list->flags.verbose ||
	       list->report->list;
}

static void read_old(struct old *old, const struct target *target,
	const struct attribute *attribute)
{
	owned_memory char *status = NULL;
	char key[64];

	*old = (struct old){ 0 };
	if (attribute->kind != attribute_policy ||
		attr_get(target->access, "status", &status) < 0)
		return;
	attr_line(status, attribute->name, old->value, sizeof(old->value));
	snprintf(key, sizeof(key), "%s.from", attribute->name);
	attr_line(status, key, old->from, sizeof(old->from));
}

/* As the kernel will ask it when the attribute is set. */
static int try_change(const struct target *target)
{
	if (faccessat(AT_FDCWD, target->access, W_OK, AT_EACCESS) < 0)
		return -errno;
	return 0;
}

static int make_change(const struct change *change,
	const struct target *target)
{
	const char *name = change->attribute->name;
	int r;

	if (change->value)
		return attr_set(target->access, name, change->value);
	r = attr_remove(target->access, name);
	/* What was not set needs no removing. */
	return r == -ENODATA ? 0 : r;
}

static void tell_text(const struct target *target, const struct change *change,
	const struct old *old)
{
	bool own = strcmp(old->from, "file") == 0;

	progress_hide();
	output_text(target->path);
	printf(": %s: ", change->attribute->name);
	if (change->attribute->kind == attribute_action) {
		output_text(change->value);
	} else if (!change->value && old->from[0] && !own) {
		printf("not set");
	} else {
		output_text(old->value[0] ? old->value : "?");
		if (!own && old->from[0])
			printf(" (%s)", old->from);
		printf(" -> ");
		output_text(change->value ? change->value :
					    "the mount's default");
	}
	putchar('\n');
}

static json_t *text_or_null(const char *text)
{
	return text && *text ? output_json_text(text) : json_null();
}

static json_t *tell_json(const struct change *change, const struct old *old)
{
	json_t *entry = json_object();

	json_object_set_new(entry, "attribute",
		json_string(change->attribute->name));
	json_object_set_new(entry, "old", text_or_null(old->value));
	json_object_set_new(entry, "from", text_or_null(old->from));
	json_object_set_new(entry, "new", text_or_null(change->value));
	return entry;
}

/* A removal in a tree is told of the files only that had something set. */
static bool is_news(const struct target *target, const struct change *change,
	const struct old *old)
{
	return change->value || target->exact || !old->from[0] ||
	       strcmp(old->from, "file") == 0;
}

/* The array of changes in the file's JSON object, which is made once. */
static json_t *changes_of(const struct change_list *list,
	const struct target *target, json_t **told)
{
	json_t *entry;

	if (*told)
		return *told;
	entry = report_entry(list->report, target->path);
	json_object_set_new(entry, "dry_run",
		json_boolean(list->flags.dry_run));
	*told = json_array();
	json_object_set_new(entry, "changes", *told);
	return *told;
}

static int apply(const struct change_list *list, const struct target *target,
	const struct change *change, json_t **told)
{
	char text[CHANGE_REFUSAL_MAX];
	struct old old = { 0 };
	int r;

	if (is_told(list))
		read_old(&old, target, change->attribute);
	r = list->flags.dry_run ? try_change(target) :
				  make_change(change, target);
	if (r < 0) {
		change_refusal(text, change->attribute, change->value, r);
		report_failure(list->report, target->path, exit_failed, "%s",
			text);
		return r;
	}
	if (!is_told(list) || !is_news(target, change, &old))
		return 0;
	if (list->report->list)
		json_array_append_new(changes_of(list, target, told),
			tell_json(change, &old));
	else
		tell_text(target, change, &old);
	return 0;
}

void change_visit(const struct target *target, void *argument)
{
	const struct change_list *list = argument;
	json_t *told = NULL;

	for (size_t i = 0; i < list->count; i++) {
		const struct change *change = &list->changes[i];

		if (change_fits(list->report, target, change->attribute) &&
			apply(list, target, change, &told) < 0)
			break;
	}
}

void change_files(const struct change_list *list, char **paths, int count)
{
	struct walk walk = {
		.report = list->report,
		.recursive = list->flags.recursive,
		.visit = change_visit,
		.argument = (void *)list,
	};

	for (size_t i = 0; i < list->count; i++)
		walk.wanted |= list->changes[i].attribute->where;
	walk_files(&walk, paths, count);
}
