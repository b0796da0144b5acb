// SPDX-License-Identifier: Apache-2.0
/*
 * A header's "# HELP NAME ..." or "# TYPE NAME ..." says whose the samples are
 * that follow, so samples aren't looked at. A mount is known by the sample of
 * msyncfs_info, which has all of its labels.
 */
#include "msyncctl/prometheus.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "msyncctl/output.h"

#define HELP "# HELP "
#define TYPE "# TYPE "
#define INFO "msyncfs_info{"

struct lines {
	char *text;
	size_t length;
};

struct prometheus_metric {
	struct lines name; /* of one line without its end */
	struct lines help, type, samples;
};

static void lines_add(struct lines *lines, const char *text, size_t length)
{
	char *more = realloc(lines->text, lines->length + length + 1);

	if (!more) {
		output_error(NULL, "out of memory");
		exit(exit_failed);
	}
	memcpy(more + lines->length, text, length);
	lines->text = more;
	lines->length += length;
	more[lines->length] = '\0';
}

static struct prometheus_metric *find(struct prometheus *this,
	const char *name, size_t length)
{
	struct prometheus_metric *metrics;

	for (size_t i = 0; i < this->count; i++) {
		struct prometheus_metric *metric = &this->metrics[i];

		if (metric->name.length == length &&
			memcmp(metric->name.text, name, length) == 0)
			return metric;
	}
	metrics = realloc(this->metrics,
		(this->count + 1) * sizeof(*metrics));
	if (!metrics) {
		output_error(NULL, "out of memory");
		exit(exit_failed);
	}
	this->metrics = metrics;
	metrics[this->count] = (struct prometheus_metric){ 0 };
	lines_add(&metrics[this->count].name, name, length);
	return &metrics[this->count++];
}

static bool has_mount(const struct prometheus *this, const char *text)
{
	const char *info = strstr(text, "\n" INFO);
	const char *known;
	size_t length;

	if (!info)
		return false;
	info++;
	length = strcspn(info, "\n");
	for (size_t i = 0; i < this->count; i++) {
		const struct lines *samples = &this->metrics[i].samples;

		known = samples->text ? strstr(samples->text, INFO) : NULL;
		for (; known; known = strstr(known + 1, INFO)) {
			if (strncmp(known, info, length) == 0 &&
				known[length] == '\n')
				return true;
		}
	}
	return false;
}

void prometheus_add(struct prometheus *this, const char *text)
{
	struct prometheus_metric *metric = NULL;
	size_t length;

	if (has_mount(this, text))
		return;
	for (; *text; text += length) {
		bool help = strncmp(text, HELP, strlen(HELP)) == 0;
		bool type = strncmp(text, TYPE, strlen(TYPE)) == 0;
		struct lines *header;

		length = strcspn(text, "\n");
		length += text[length] == '\n';
		if (help || type) {
			const char *name = text + strlen(HELP);

			metric = find(this, name, strcspn(name, " \n"));
			header = help ? &metric->help : &metric->type;
			if (!header->text)
				lines_add(header, text, length);
		} else if (metric && *text != '#' && *text != '\n') {
			lines_add(&metric->samples, text, length);
		}
	}
}

static void print_lines(const struct lines *lines, FILE *out)
{
	if (lines->text)
		fwrite(lines->text, 1, lines->length, out);
}

void prometheus_print(const struct prometheus *this, FILE *out)
{
	for (size_t i = 0; i < this->count; i++) {
		print_lines(&this->metrics[i].help, out);
		print_lines(&this->metrics[i].type, out);
		print_lines(&this->metrics[i].samples, out);
	}
}

void prometheus_fini(struct prometheus *this)
{
	for (size_t i = 0; i < this->count; i++) {
		free(this->metrics[i].name.text);
		free(this->metrics[i].help.text);
		free(this->metrics[i].type.text);
		free(this->metrics[i].samples.text);
	}
	free(this->metrics);
	*this = (struct prometheus){ 0 };
}
