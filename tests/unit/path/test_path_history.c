/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/test.h"

#include <stdlib.h>

#include "core/path/path_history.h"

static void the_last_changes_are_kept(void **state)
{
	struct ts_path_change out[TS_PATH_CHANGES_MAX];
	struct ts_path_history *h = NULL;

	(void)state;
	assert_int_equal(ts_path_history_read(h, out), 0);
	for (unsigned i = 1; i <= 3 * TS_PATH_CHANGES_MAX + 5; i++) {
		struct ts_path_change change = {.kind = TS_PATH_NEW_BEST,
						.at_ms = i};
		size_t want = i < TS_PATH_CHANGES_MAX ? i
						      : TS_PATH_CHANGES_MAX;

		ts_path_history_add(&h, &change);
		assert_int_equal(ts_path_history_read(h, out), want);
		assert_int_equal(out[0].at_ms, i - want + 1);
		assert_int_equal(out[want - 1].at_ms, i);
	}
	free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_last_changes_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
