// SPDX-License-Identifier: Apache-2.0
/*
 * By hand, digit by digit: strtoll(3), strtod(3) and printf(3)'s %g need a
 * NUL, take signs and blanks, and follow the locale.
 *
 * Whether the text is a quantity at all is decided before whether it is too
 * large: numbers stop at UINT64_MAX while their digits are read on.
 */
#include "util/quantity.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define NS_MS INT64_C(1000000)
#define NS_SECOND (1000 * NS_MS)
#define NS_MINUTE (60 * NS_SECOND)
#define NS_HOUR (60 * NS_MINUTE)
/* Years of 365.25 days. */
#define DURATION_MAX (INT64_C(876600) * NS_HOUR)

struct unit {
	const char *name;
	uint64_t factor;
};

/* Each list from the largest to the smallest. */
static const struct unit size_units[] = {
	{ "T", UINT64_C(1) << 40 },
	{ "G", UINT64_C(1) << 30 },
	{ "M", UINT64_C(1) << 20 },
	{ "K", UINT64_C(1) << 10 },
	{ "", 1 },
};

static const struct unit duration_units[] = {
	{ "h", NS_HOUR },
	{ "m", NS_MINUTE },
	{ "s", NS_SECOND },
	{ "ms", NS_MS },
};

static const struct unit shown_size_units[] = {
	{ "EiB", UINT64_C(1) << 60 },
	{ "PiB", UINT64_C(1) << 50 },
	{ "TiB", UINT64_C(1) << 40 },
	{ "GiB", UINT64_C(1) << 30 },
	{ "MiB", UINT64_C(1) << 20 },
	{ "KiB", UINT64_C(1) << 10 },
	{ "B", 1 },
};

static const struct unit shown_duration_units[] = {
	{ "d", 24 * NS_HOUR },
	{ "h", NS_HOUR },
	{ "min", NS_MINUTE },
	{ "s", NS_SECOND },
	{ "ms", NS_MS },
	{ "us", 1000 },
	{ "ns", 1 },
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static size_t count_digits(const char *text, size_t length)
{
	size_t count = 0;

	while (count < length && is_digit(text[count]))
		count++;
	return count;
}

static uint64_t read_digits(const char *text, size_t count)
{
	uint64_t number = 0;

	for (size_t i = 0; i < count; i++) {
		if (__builtin_mul_overflow(number, 10, &number) ||
			__builtin_add_overflow(number,
				(uint64_t)(text[i] - '0'), &number))
			return UINT64_MAX;
	}
	return number;
}

static const struct unit *find_unit(const struct unit *units, size_t count,
	const char *text, size_t length)
{
	for (size_t i = 0; i < count; i++) {
		if (strlen(units[i].name) == length &&
			memcmp(units[i].name, text, length) == 0)
			return &units[i];
	}
	return NULL;
}

int quantity_parse_size(const char *text, size_t length, uint64_t *bytes)
{
	size_t digits = count_digits(text, length);
	const struct unit *unit;
	uint64_t size;

	if (digits == 0)
		return -EINVAL;
	unit = find_unit(size_units, COUNT(size_units), text + digits,
		length - digits);
	if (unit == NULL)
		return -EINVAL;
	if (__builtin_mul_overflow(read_digits(text, digits), unit->factor,
		    &size) || size > INT64_MAX)
		return -ERANGE;
	*bytes = size;
	return 0;
}

/*
 * The digits behind the point, in nanoseconds, rounded down. From the last
 * to the first, as the rest that each division drops can't reach the result.
 */
static uint64_t read_fraction(const char *text, size_t count, uint64_t factor)
{
	uint64_t sum = 0;

	while (count-- > 0)
		sum = (sum + (uint64_t)(text[count] - '0') * factor) / 10;
	return sum;
}

int quantity_parse_duration(const char *text, size_t length,
	int64_t *nanoseconds)
{
	size_t whole = count_digits(text, length);
	size_t fraction = 0;
	size_t used = whole;
	const struct unit *unit;
	uint64_t sum;

	if (whole == 0)
		return -EINVAL;
	if (length == 1 && text[0] == '0') {
		*nanoseconds = 0;
		return 0;
	}
	if (used < length && text[used] == '.') {
		used++;
		fraction = count_digits(text + used, length - used);
		if (fraction == 0)
			return -EINVAL;
		used += fraction;
	}
	unit = find_unit(duration_units, COUNT(duration_units), text + used,
		length - used);
	if (unit == NULL)
		return -EINVAL;
	if (__builtin_mul_overflow(read_digits(text, whole), unit->factor,
		    &sum) ||
		__builtin_add_overflow(sum, read_fraction(text + used -
			fraction, fraction, unit->factor), &sum) ||
		sum > (uint64_t)DURATION_MAX)
		return -ERANGE;
	*nanoseconds = (int64_t)sum;
	return 0;
}

int quantity_parse_range(const char *text, size_t length, int64_t *offset,
	int64_t *range_length)
{
	const char *plus = length > 0 ? memchr(text, '+', length) : NULL;
	uint64_t start;
	uint64_t size;
	size_t first;
	int start_error;
	int size_error;

	if (plus == NULL)
		return -EINVAL;
	first = (size_t)(plus - text);
	start_error = quantity_parse_size(text, first, &start);
	size_error = quantity_parse_size(plus + 1, length - first - 1, &size);
	if (start_error == -EINVAL || size_error == -EINVAL)
		return -EINVAL;
	if (start_error < 0 || size_error < 0)
		return -ERANGE;
	if (size == 0)
		return -EINVAL;
	if (size > INT64_MAX - start)
		return -ERANGE;
	*offset = (int64_t)start;
	*range_length = (int64_t)size;
	return 0;
}

const char *quantity_format_size(char text[QUANTITY_TEXT_MAX], uint64_t bytes)
{
	const struct unit *unit = size_units;

	while (bytes < unit->factor ? unit->factor > 1 :
				      bytes % unit->factor != 0)
		unit++;
	snprintf(text, QUANTITY_TEXT_MAX, "%" PRIu64 "%s",
		bytes / unit->factor, unit->name);
	return text;
}

/* Takes zeros off the end of digits that stand behind a point. */
static void strip_zeros(char *text)
{
	char *end = text + strlen(text);

	while (end[-1] == '0')
		end--;
	if (end[-1] == '.')
		end--;
	*end = '\0';
}

static uint64_t magnitude(int64_t number)
{
	return number < 0 ? -(uint64_t)number : (uint64_t)number;
}

const char *quantity_format_duration(char text[QUANTITY_TEXT_MAX],
	int64_t nanoseconds)
{
	const char *sign = nanoseconds < 0 ? "-" : "";
	uint64_t number = magnitude(nanoseconds);

	if (number == 0)
		return strcpy(text, "0");
	for (size_t i = 0; i < COUNT(duration_units); i++) {
		if (number % duration_units[i].factor != 0)
			continue;
		snprintf(text, QUANTITY_TEXT_MAX, "%s%" PRIu64 "%s", sign,
			number / duration_units[i].factor,
			duration_units[i].name);
		return text;
	}
	snprintf(text, QUANTITY_TEXT_MAX, "%s%" PRIu64 ".%06" PRIu64, sign,
		number / NS_MS, number % NS_MS);
	strip_zeros(text);
	return strcat(text, "ms");
}

/* number / factor in four significant places, times the power of ten. */
static uint64_t scale(uint64_t number, uint64_t factor, unsigned *power)
{
	uint64_t whole = number / factor;

	*power = whole >= 1000 || factor == 1 ? 1 :
		 whole >= 100		      ? 10 :
		 whole >= 10		      ? 100 :
						1000;
	return whole * *power + (uint64_t)((double)(number % factor) * *power /
					   (double)factor + 0.5);
}

static const char *show(char text[QUANTITY_TEXT_MAX], const char *sign,
	uint64_t number, const struct unit *units, size_t count)
{
	size_t i = 0;
	unsigned power;
	uint64_t scaled;

	while (i + 1 < count && number < units[i].factor)
		i++;
	scaled = scale(number, units[i].factor, &power);
	/* 1023.96 KiB have become 1024: that is 1 MiB. */
	if (i > 0 && scaled / power >= units[i - 1].factor / units[i].factor) {
		i--;
		scaled = power;
	}
	if (power == 1) {
		snprintf(text, QUANTITY_TEXT_MAX, "%s%" PRIu64, sign, scaled);
	} else {
		snprintf(text, QUANTITY_TEXT_MAX, "%s%" PRIu64 ".%0*" PRIu64,
			sign, scaled / power, power == 1000 ? 3 :
			power == 100 ? 2 : 1, scaled % power);
		strip_zeros(text);
	}
	strcat(text, " ");
	return strcat(text, units[i].name);
}

const char *quantity_show_size(char text[QUANTITY_TEXT_MAX], uint64_t bytes)
{
	return show(text, "", bytes, shown_size_units,
		COUNT(shown_size_units));
}

const char *quantity_show_duration(char text[QUANTITY_TEXT_MAX],
	int64_t nanoseconds)
{
	return show(text, nanoseconds < 0 ? "-" : "", magnitude(nanoseconds),
		shown_duration_units, COUNT(shown_duration_units));
}
