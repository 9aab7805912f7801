/* SPDX-License-Identifier: BSD-3-Clause
 * state_bench.h - tests whose state is a struct ts_state
 */
#ifndef TESTS_UNIT_STATE_STATE_BENCH_H
#define TESTS_UNIT_STATE_STATE_BENCH_H

#include "tests/unit/test.h"

#include <string.h>

#include "core/state/state_file.h"

static inline int set_up(void **state)
{
	*state = ts_state_new();
	return *state ? 0 : -1;
}

static inline int tear_down(void **state)
{
	ts_state_free(*state);
	return 0;
}

static inline void put(struct ts_state *s, const char *key, const char *text)
{
	assert_true(ts_state_set(s, key, text, strlen(text)) >= 0);
}

static inline const char *get(const struct ts_state *s, const char *key)
{
	size_t len;

	return (const char *)ts_state_get(s, key, &len);
}

#endif
