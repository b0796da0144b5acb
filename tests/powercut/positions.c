// SPDX-License-Identifier: Apache-2.0
/*
 * Four cuts in twelve have exactly what a flush covers, and come just before
 * the next flush: the same image as right after the one, but with all the
 * marks of what was believed to be safe since. One cut has all that was
 * written, the others have some of what no flush covers. Half of those are
 * anywhere in the log, so mostly where much is written; for the other half a
 * stretch between two flushes is chosen first, so that quiet times get their
 * share.
 *
 * The flushes are taken in a shuffled order, each once before any is taken
 * again: with three times as many images as flushes, every one is seen.
 *
 * Marks "start" and "stop" bound what is chosen from.
 */
#include "positions.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "random.h"

struct choice {
	/* Cuts are above start and at most stop. */
	size_t start, stop;
	size_t *flushes; /* positions, in order, then stop */
	size_t *shuffled; /* all but the first: the next after a flush */
	size_t flush_count;
	size_t flushes_taken;
};

static void print_mark(FILE *out, const struct record *record)
{
	fprintf(out, "%.*s\n", (int)record->length, record->data);
}

void positions_print(FILE *out, const struct recording *recording)
{
	size_t flushes = 0;

	for (size_t i = 0; i < recording->count; i++) {
		const struct record *record = &recording->records[i];

		if (record->kind == record_flush) {
			fprintf(out, "flush %zu %zu\n", flushes++, i);
		} else if (record->kind == record_mark) {
			fprintf(out, "mark %zu ", i);
			print_mark(out, record);
		}
	}
	fprintf(out, "end %zu\n", recording->count);
}

void positions_print_marks(FILE *out, const struct recording *recording,
			   size_t position)
{
	for (size_t i = 0; i < position; i++) {
		if (recording->records[i].kind == record_mark)
			print_mark(out, &recording->records[i]);
	}
}

static bool is_mark(const struct record *record, const char *text)
{
	return record->kind == record_mark && record->length == strlen(text) &&
		!memcmp(record->data, text, record->length);
}

/* From the last "start" to the last "stop". */
static void find_bounds(struct choice *choice,
			const struct recording *recording)
{
	choice->start = 0;
	choice->stop = recording->count;
	for (size_t i = recording->count; i-- > 0;) {
		if (!choice->start &&
		    is_mark(&recording->records[i], "start"))
			choice->start = i;
	}
	for (size_t i = choice->start; i < recording->count; i++) {
		if (is_mark(&recording->records[i], "stop"))
			choice->stop = i;
	}
}

static int find_flushes(struct choice *choice,
			const struct recording *recording)
{
	size_t room = recording->count + 1;

	choice->flushes = calloc(room, sizeof(*choice->flushes));
	choice->shuffled = calloc(room, sizeof(*choice->shuffled));
	if (!choice->flushes || !choice->shuffled)
		return -ENOMEM;
	for (size_t i = choice->start; i < choice->stop; i++) {
		if (recording->records[i].kind == record_flush)
			choice->flushes[choice->flush_count++] = i;
	}
	choice->flushes[choice->flush_count] = choice->stop;
	return 0;
}

static void shuffle_flushes(struct choice *choice, uint64_t seed)
{
	seed = random_mix(seed);
	for (size_t i = 0; i < choice->flush_count; i++) {
		size_t other = random_below(&seed, i + 1);

		choice->shuffled[i] = choice->shuffled[other];
		choice->shuffled[other] = choice->flushes[i + 1];
	}
}

static size_t anywhere(size_t start, size_t stop, uint64_t *seed)
{
	return stop > start ? start + 1 + random_below(seed, stop - start) :
			      stop;
}

static size_t between_flushes(const struct choice *choice, uint64_t *seed)
{
	size_t i = random_below(seed, choice->flush_count + 1);
	size_t start = i ? choice->flushes[i - 1] : choice->start;

	return anywhere(start, choice->flushes[i], seed);
}

static void choose(FILE *out, struct choice *choice, uint64_t seed)
{
	unsigned kind = (unsigned)random_below(&seed, 12);
	const char *mode = kind == 4 ? "all" : "random";
	size_t position;

	if (kind < 4 && choice->flush_count) {
		mode = "flush";
		position = choice->shuffled[choice->flushes_taken++ %
					    choice->flush_count];
	} else if (kind % 2) {
		position = anywhere(choice->start, choice->stop, &seed);
	} else {
		position = between_flushes(choice, &seed);
	}
	fprintf(out, "%zu %" PRIu64 " %s\n", position,
		random_below(&seed, UINT32_MAX), mode);
}

int positions_choose(FILE *out, const struct recording *recording,
		     unsigned count, uint64_t seed)
{
	struct choice choice = { 0 };
	int result;

	find_bounds(&choice, recording);
	result = find_flushes(&choice, recording);
	if (!result) {
		shuffle_flushes(&choice, seed);
		for (unsigned i = 0; i < count; i++)
			choose(out, &choice,
			       random_mix(seed) + random_mix(i));
	}
	free(choice.flushes);
	free(choice.shuffled);
	return result;
}
