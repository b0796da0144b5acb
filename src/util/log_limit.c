// SPDX-License-Identifier: Apache-2.0
/*
 * A token bucket in one word: not the number of tokens is kept but the time
 * at which the bucket will be full again. Each line moves it by one period,
 * and is allowed while it lies less than a burst of periods ahead.
 */
#include "util/log_limit.h"

bool log_limit_take(
	struct log_limit *limit, const struct log_rate *rate, int64_t now)
{
	int64_t full_at = limit->full_at;
	int64_t next;

	if (rate->burst == 0)
		return true;
	do {
		int64_t from = full_at > now ? full_at : now;

		if (rate->period == 0)
			next = INT64_MAX;
		else
			next = from + rate->period;
		if (from - now > (rate->burst - 1) * rate->period) {
			log_limit_lose(limit, 1);
			return false;
		}
	} while (
		!atomic_compare_exchange_weak(&limit->full_at, &full_at, next));
	return true;
}

uint64_t log_limit_left_out(struct log_limit *limit)
{
	/* It is next to never anything else: no need to write. */
	if (limit->left_out == 0)
		return 0;
	return atomic_exchange(&limit->left_out, 0);
}

void log_limit_lose(struct log_limit *limit, uint64_t count)
{
	atomic_fetch_add_explicit(
		&limit->left_out, count, memory_order_relaxed);
}
