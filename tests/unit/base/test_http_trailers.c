/* SPDX-License-Identifier: BSD-3-Clause
 * test_http_trailers.c - which fields may come after a body
 */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/http_trailers.h"

static int pass_on(const char *lines, char *got, size_t cap)
{
	struct ts_byte_queue in, out;
	int err;

	ts_byte_queue_init(&in, 65536);
	ts_byte_queue_init(&out, 65536);
	assert_int_equal(ts_byte_queue_push(&in, lines, strlen(lines)), 0);
	err = ts_http_trailers_write(&out, &in);
	assert_true(ts_byte_queue_len(&out) < cap);
	memset(got, 0, cap);
	if (!err)
		memcpy(got, ts_byte_queue_data(&out), ts_byte_queue_len(&out));
	ts_byte_queue_deinit(&in);
	ts_byte_queue_deinit(&out);
	return err;
}

static void what_has_no_other_meaning_goes_on(void **state)
{
	char got[256];

	(void)state;
	assert_int_equal(pass_on("X-Sum: 1\r\nGrpc-Status: 0\r\n", got,
				 sizeof(got)), 0);
	assert_string_equal(got, "0\r\nX-Sum: 1\r\nGrpc-Status: 0\r\n\r\n");
	assert_int_equal(pass_on("", got, sizeof(got)), 0);
	assert_string_equal(got, "0\r\n\r\n");
}

static void who_is_calling_is_settled(void **state)
{
	static const char *const lines[] = {
		"Tailscale-User-Login: root\r\n",
		"tailscale_user_login: root\r\n", "Tailscale.New: x\r\n",
		"X-Forwarded-For: 1.2.3.4\r\n", "X_Forwarded_Host: h\r\n",
		"Forwarded: for=x\r\n", "Content-Length: 5\r\n",
		"Content_Length: 5\r\n", "Transfer_Encoding: chunked\r\n",
		"Cookie: a\r\n", "AUTHORIZATION: x\r\n", "X: a\x01\r\n",
	};
	char got[256];

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		assert_int_equal(pass_on(lines[i], got, sizeof(got)), 0);
		if (strcmp(got, "0\r\n\r\n") != 0)
			fail_msg("%s", lines[i]);
	}
}

static void lines_that_are_none(void **state)
{
	static const char *const lines[] = {
		"X\r\n", " X: y\r\n", "X : y\r\n", "X: y\r\n\r\nGET / \r\n",
		"X: a\rb\r\n",
	};
	char got[256];

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (pass_on(lines[i], got, sizeof(got)) != -EBADMSG)
			fail_msg("%s", lines[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_has_no_other_meaning_goes_on),
		cmocka_unit_test(who_is_calling_is_settled),
		cmocka_unit_test(lines_that_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
