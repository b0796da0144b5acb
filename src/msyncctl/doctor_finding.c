// SPDX-License-Identifier: Apache-2.0
/* A plain list: there are a few dozen at the most. */
#include "msyncctl/doctor_finding.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "msyncctl/output.h"

static void *made(void *value)
{
	if (!value) {
		output_error(NULL, "doctor: out of memory");
		exit(exit_failed);
	}
	return value;
}

const char *finding_level_name(enum finding_level level)
{
	static const char *const names[] = {
		[finding_ok] = "ok",
		[finding_costs] = "costs",
		[finding_missing] = "missing",
		[finding_broken] = "broken",
	};

	return names[level];
}

struct finding *findings_add(struct findings *findings,
	enum finding_level level, const char *mount, const char *name)
{
	struct finding *finding;

	findings->list = made(reallocarray(findings->list,
		findings->count + 1, sizeof(*findings->list)));
	finding = &findings->list[findings->count++];
	*finding = (struct finding){
		.level = level,
		.name = name,
		.mount = mount ? made(strdup(mount)) : NULL,
	};
	return finding;
}

static void set(char **text, const char *format, va_list arguments)
	__attribute__((format(printf, 2, 0)));

static void set(char **text, const char *format, va_list arguments)
{
	free(*text);
	if (vasprintf(text, format, arguments) < 0)
		*text = NULL;
	made(*text);
}

struct finding *finding_text(struct finding *finding, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	set(&finding->text, format, arguments);
	va_end(arguments);
	return finding;
}

struct finding *finding_cost(struct finding *finding, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	set(&finding->cost, format, arguments);
	va_end(arguments);
	return finding;
}

struct finding *finding_get(struct finding *finding, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	set(&finding->get, format, arguments);
	va_end(arguments);
	return finding;
}

enum finding_level findings_worst(const struct findings *findings)
{
	enum finding_level worst = finding_ok;

	for (size_t i = 0; i < findings->count; i++) {
		if (findings->list[i].level > worst)
			worst = findings->list[i].level;
	}
	return worst;
}

void findings_free(struct findings *findings)
{
	for (size_t i = 0; i < findings->count; i++) {
		struct finding *finding = &findings->list[i];

		free(finding->mount);
		free(finding->text);
		free(finding->cost);
		free(finding->get);
	}
	free(findings->list);
	*findings = (struct findings){ 0 };
}
