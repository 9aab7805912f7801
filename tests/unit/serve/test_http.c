/* SPDX-License-Identifier: BSD-3-Clause
 * test_http.c - requests: what is understood, and what is refused
 */
#include "../test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/serve/http_request.h"

#define HEAD "GET / HTTP/1.1\r\nHost: a\r\n"

static int read_request(const char *text, struct ts_serve_request *out)
{
	return ts_serve_request_read(text, strlen(text), out);
}

static void a_request_is_read(void **state)
{
	static const char text[] = "POST /a%20b/%2e?x=1&y HTTP/1.1\r\n"
		"Host: web.tail.ts.net:80\r\nContent-Length: 5\r\n"
		"Expect: 100-continue\r\nConnection: x, Close\r\n\r\nhello";
	struct ts_serve_request req;

	(void)state;
	assert_int_equal(read_request(text, &req), 0);
	assert_string_equal(req.path, "/a b/.");
	assert_string_equal(req.host, "web.tail.ts.net:80");
	assert_memory_equal(req.query, "?x=1&y", req.query_len);
	assert_int_equal(req.body.kind, TS_BODY_LENGTH);
	assert_int_equal(req.body.left, 5);
	assert_true(req.expects_continue);
	assert_false(req.keep_alive);
	assert_true(ts_serve_request_is(&req, "POST"));
	assert_int_equal(req.head.head_len, strlen(text) - 5);
	ts_serve_request_deinit(&req);
	for (size_t cut = 0; cut < sizeof(text) - 6; cut++)
		assert_int_equal(ts_serve_request_read(text, cut, &req),
				 -EAGAIN);
}

static void an_absolute_target_names_the_host(void **state)
{
	struct ts_serve_request req;

	(void)state;
	assert_int_equal(read_request("GET http://b:81?q HTTP/1.1\r\n"
				      "Host: a\r\n\r\n", &req), 0);
	assert_string_equal(req.host, "b:81");
	assert_string_equal(req.path, "/");
	assert_int_equal(req.query_len, 2);
	ts_serve_request_deinit(&req);
	assert_int_equal(read_request("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
				      &req), 0);
	assert_string_equal(req.path, "");
	ts_serve_request_deinit(&req);
	assert_int_equal(read_request("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
				      &req), 0);
	assert_string_equal(req.path, "");
	ts_serve_request_deinit(&req);
}

/* The backend would take what follows for requests of ours. */
static void no_upgrade_leads_to_other_requests(void **state)
{
	static const struct {
		const char *fields;
		bool is_upgrade;
	} cases[] = {
		{"Upgrade: websocket\r\n", true},
		{"Upgrade: SPDY/3.1\r\n", true},
		{"Upgrade: h2c\r\n", false},
		{"Upgrade: H2C\r\nHTTP2-Settings: AAMAAABkAAQ\r\n", false},
		{"Upgrade: websocket, h2c\r\n", false},
		{"Upgrade: websocket\r\nUpgrade: h2c\r\n", false},
		{"Upgrade: HTTP/2.0\r\n", false},
		{"Upgrade: TLS/1.0\r\n", false},
	};
	struct ts_serve_request req;
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(text, sizeof(text), HEAD "Connection: Upgrade, "
			 "HTTP2-Settings\r\n%s\r\n", cases[i].fields);
		assert_int_equal(read_request(text, &req), 0);
		if (req.is_upgrade != cases[i].is_upgrade)
			fail_msg("%s", cases[i].fields);
		ts_serve_request_deinit(&req);
	}
}

static void http_1_0_ends_unless_asked(void **state)
{
	struct ts_serve_request req;

	(void)state;
	assert_int_equal(read_request("GET / HTTP/1.0\r\n\r\n", &req), 0);
	assert_false(req.keep_alive);
	assert_string_equal(req.host, "");
	ts_serve_request_deinit(&req);
	assert_int_equal(read_request("GET / HTTP/1.0\r\nConnection: "
				      "keep-alive\r\n\r\n", &req), 0);
	assert_true(req.keep_alive);
	ts_serve_request_deinit(&req);
}

static void what_two_could_read_differently_is_refused(void **state)
{
	static const struct {
		const char *text;
		int err;
	} cases[] = {
		{HEAD "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
		 -EBADMSG},
		{HEAD "Content-Length: 5\r\nContent-Length: 5\r\n\r\n",
		 -EBADMSG},
		{HEAD "Content-Length: 5, 5\r\n\r\n", -EBADMSG},
		{HEAD "Content-Length: +5\r\n\r\n", -EBADMSG},
		{HEAD "Content-Length: 0x5\r\n\r\n", -EBADMSG},
		{HEAD "Content-Length:\r\n\r\n", -EBADMSG},
		{HEAD "Content-Length: 9999999999999999999\r\n\r\n", -EBADMSG},
		{HEAD "Transfer-Encoding: gzip, chunked\r\n\r\n", -EOPNOTSUPP},
		{HEAD "Transfer-Encoding: chunked\r\nTransfer-Encoding: "
		      "chunked\r\n\r\n", -EBADMSG},
		{HEAD "Transfer-Encoding: xchunked\r\n\r\n", -EOPNOTSUPP},
		{HEAD "Transfer-Encoding : chunked\r\n\r\n", -EBADMSG},
		{HEAD "X: a\r\n b\r\n\r\n", -EBADMSG},
		{HEAD "Host: b\r\n\r\n", -EBADMSG},
		{HEAD "X: a\nContent-Length: 5\r\n\r\n", -EBADMSG},
		{HEAD "X: a\rb\r\n\r\n", -EBADMSG},
		{HEAD "X: a\x01" "b\r\n\r\n", -EBADMSG},
		{"GET / HTTP/1.1\r\n\r\n", -EBADMSG},
		{"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", -EBADMSG},
		{"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", -EBADMSG},
		{"GET / HTTP/1.2\r\nHost: a\r\n\r\n", -ERANGE},
		{"GET a HTTP/1.1\r\nHost: a\r\n\r\n", -EBADMSG},
		{"GET /%0 HTTP/1.1\r\nHost: a\r\n\r\n", -EBADMSG},
		{"GET /% HTTP/1.1\r\nHost: a\r\n\r\n", -EBADMSG},
		{"GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", -EBADMSG},
		{"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", -EBADMSG},
		{"GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", -EBADMSG},
		{"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", -EBADMSG},
		{"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", -EBADMSG},
		{"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
		 -EBADMSG},
	};
	struct ts_serve_request req;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int err = read_request(cases[i].text, &req);

		if (err != cases[i].err)
			fail_msg("%s: %d", cases[i].text, err);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_read),
		cmocka_unit_test(an_absolute_target_names_the_host),
		cmocka_unit_test(no_upgrade_leads_to_other_requests),
		cmocka_unit_test(http_1_0_ends_unless_asked),
		cmocka_unit_test(what_two_could_read_differently_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
