/* SPDX-License-Identifier: BSD-3-Clause
 * test_log_tap.c - who sees which lines of the log
 */
#include "tests/unit/test.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/engine/log_sink.h"
#include "core/engine/log_tap.h"
#include "core/localapi/localapi.h"

struct reader {
	struct ts_log_tap tap;
	unsigned count;
	char last[64];
};

static char file[] = "/tmp/test-log-tap-XXXXXX";

static void on_line(struct ts_log_tap *tap, enum ts_log_level level,
		    const char *line)
{
	struct reader *r = (struct reader *)(void *)tap;

	(void)level;
	r->count++;
	snprintf(r->last, sizeof(r->last), "%s", line);
}

/* Lines of the file so far. */
static unsigned written(void)
{
	FILE *f = fopen(file, "r");
	unsigned count = 0;
	int c;

	assert_non_null(f);
	while ((c = fgetc(f)) != EOF)
		count += c == '\n';
	fclose(f);
	return count;
}

static int open_log(void **state)
{
	struct ts_config config = {.log_file = file,
				   .log_level = TS_LOG_WARN};
	char err[256];

	(void)state;
	close(mkstemp(file));
	return log_sink_open(&config, err);
}

static int close_log(void **state)
{
	(void)state;
	ts_log_set_sink(NULL, NULL);
	return unlink(file);
}

static void readers_see_all_and_the_file_its_level(void **state)
{
	struct reader a = {.tap.line = on_line}, b = {.tap.line = on_line};
	unsigned before = written();

	(void)state;
	log_debug("wg: nobody listens");
	assert_int_equal(written(), before);
	log_tap_open(&a.tap);
	log_tap_open(&b.tap);
	log_debug("wg: one");
	log_warn("wg: two");
	assert_int_equal(a.count, 2);
	assert_int_equal(b.count, 2);
	assert_string_equal(a.last, "wg: two");
	assert_int_equal(written(), before + 1);
	log_tap_close(&b.tap);
	log_tap_close(&b.tap); /* it is none any more */
	log_debug("wg: three");
	assert_int_equal(a.count, 3);
	assert_int_equal(b.count, 2);
	log_tap_close(&a.tap);
	assert_int_equal(ts_log_get_level(), TS_LOG_WARN);
}

static void a_component_is_known_by_its_first_word(void **state)
{
	int magicsock = log_component_find("magicsock");
	int wireguard = log_component_find("wireguard");
	unsigned before = written();

	(void)state;
	assert_true(magicsock >= 0 && wireguard >= 0);
	assert_int_equal(log_component_find("nonsense"), -1);
	assert_int_equal(log_component_find(""), -1);
	log_component_show(magicsock, true);
	log_component_show(magicsock, true);
	assert_true(log_component_is_shown("derp-7: closed"));
	assert_true(log_component_is_shown("path: home"));
	assert_false(log_component_is_shown("pathological: x"));
	assert_false(log_component_is_shown("wg: x"));
	assert_false(log_component_is_shown(""));
	log_debug("derp-7: closed");
	log_debug("wg: handshake");
	assert_int_equal(written(), before + 1);
	log_component_show(wireguard, true);
	log_debug("wg: handshake");
	assert_int_equal(written(), before + 2);
	log_component_show(magicsock, false);
	log_debug("derp-7: closed");
	assert_int_equal(written(), before + 2);
	log_component_show(wireguard, false);
	assert_int_equal(ts_log_get_level(), TS_LOG_WARN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(readers_see_all_and_the_file_its_level),
		cmocka_unit_test(a_component_is_known_by_its_first_word),
	};

	return cmocka_run_group_tests(tests, open_log, close_log);
}
