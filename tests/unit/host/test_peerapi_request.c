/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/host/peerapi_dns_text.h"
#include "tests/unit/dns/dns_messages.h"

static int read_text(const char *text, struct ts_peerapi_request *req)
{
	return ts_peerapi_read((const uint8_t *)text, strlen(text), req);
}

#define POST                                                                   \
	"POST /dns-query HTTP/1.1\r\nHost: 100.64.0.1:40000\r\n"              \
	"Content-Type: application/dns-message\r\nContent-Length: 4\r\n\r\n"   \
	"\1\2\3\4"

static void a_posted_query(void **state)
{
	struct ts_peerapi_request req;
	const char *problem;
	uint8_t *query;
	char host[64];
	size_t len;

	(void)state;
	assert_int_equal(read_text(POST "GET", &req), 0);
	assert_int_equal(req.len, sizeof(POST) - 1);
	assert_true(req.keep_alive);
	assert_true(ts_peerapi_path_is(&req, "/dns-query"));
	assert_false(ts_peerapi_is_of_browser(&req));
	assert_true(ts_peerapi_host(&req, host, sizeof(host)));
	assert_string_equal(host, "100.64.0.1");
	assert_int_equal(ts_peerapi_dns_query(&req, &query, &len, &problem),
			 0);
	assert_int_equal(len, 4);
	assert_memory_equal(query, "\1\2\3\4", 4);
	free(query);
}

static void cut_at_each_length(void **state)
{
	struct ts_peerapi_request req;

	(void)state;
	for (size_t len = 0; len < sizeof(POST) - 1; len++)
		assert_int_equal(ts_peerapi_read((const uint8_t *)POST, len,
						 &req),
				 -EAGAIN);
}

static void a_query_in_the_address(void **state)
{
	struct ts_peerapi_request req;
	const char *problem;
	uint8_t *query;
	size_t len;

	(void)state;
	assert_int_equal(read_text("GET /dns-query?x=1&dns=_-8B HTTP/1.1\r\n"
				   "Host: peer\r\n\r\n", &req),
			 0);
	assert_int_equal(ts_peerapi_dns_query(&req, &query, &len, &problem),
			 0);
	assert_int_equal(len, 3);
	assert_memory_equal(query, "\xff\xef\x01", 3);
	free(query);
}

/* As people ask, with a browser or curl. */
static void a_question_in_the_address(void **state)
{
	static const struct {
		const char *target;
		int err;
		const char *name;
		uint16_t type;
	} cases[] = {
		{"?q=web.example", 0, "web.example", DNS_TYPE_A},
		{"?t=AAAA&q=web.example.", 0, "web.example", DNS_TYPE_AAAA},
		{"?q=%77eb.example&t=txt", 0, "web.example", DNS_TYPE_TXT},
		{"?q=web&t=averylongtype", 0, "web", DNS_TYPE_A},
		{"", -ENOENT, NULL, 0},
		{"?q=", -ENOENT, NULL, 0},
		{"?qq=web", -ENOENT, NULL, 0},
		{"?q=a%2", -EBADMSG, NULL, 0},
		{"?q=a%zz", -EBADMSG, NULL, 0},
		{"?q=a%00b", -EBADMSG, NULL, 0},
		{"?q=a..b", -EBADMSG, NULL, 0},
	};
	uint8_t query[DNS_PLAIN_QUERY_CAP];
	struct ts_peerapi_request req;
	struct ts_dns_query q;
	char text[128];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int len;

		snprintf(text, sizeof(text), "GET /dns-query%s HTTP/1.1\r\n"
			 "Host: peer\r\n\r\n", cases[i].target);
		assert_int_equal(read_text(text, &req), 0);
		len = ts_peerapi_dns_question(&req, query);
		if (cases[i].err) {
			assert_int_equal(len, cases[i].err);
			continue;
		}
		assert_int_equal(ts_dns_read_query(query, (size_t)len, &q), 0);
		assert_string_equal(q.name, cases[i].name);
		assert_int_equal(q.type, cases[i].type);
	}
	assert_int_equal(read_text("POST /dns-query?q=web HTTP/1.1\r\n"
				   "Host: peer\r\n\r\n", &req), 0);
	assert_int_equal(ts_peerapi_dns_question(&req, query), -ENOENT);
}

static void check_text(const struct message *m, size_t len, const char *wanted)
{
	char *text = ts_peerapi_dns_text(m->bytes, len);

	assert_string_equal(text, wanted);
	free(text);
}

static void an_answer_for_people(void **state)
{
	static const uint8_t v4[] = {192, 0, 2, 1};
	static const uint8_t v6[16] = {0x20, 1, 0xd, 0xb8, [15] = 9};
	static const uint8_t txt[] = "\3a\"b\2\xc3\xa9\1\xff";
	static const uint8_t cut[] = "\7abc";
	static const char *const codes[] = {
		NULL, "RCodeFormatError", "RCodeServerFailure",
		"RCodeNameError", "RCodeNotImplemented", "RCodeRefused", "6"};
	uint8_t query[DNS_PLAIN_QUERY_CAP];
	static struct message m;
	char wanted[64];
	size_t all;
	int len = ts_dns_write_query(1, "a.example", DNS_TYPE_A, query,
				     sizeof(query));

	(void)state;
	begin_answer(&m, query, (size_t)len, 0);
	all = end_answer(&m);
	check_text(&m, all, "null\n");
	begin_answer(&m, query, (size_t)len, 0);
	put_record(&m, 0, "a.example", DNS_TYPE_A, 60, v4, sizeof(v4));
	put_record(&m, 0, "b.example", DNS_TYPE_AAAA, 60, v6, sizeof(v6));
	put_record(&m, 0, "b.example", DNS_TYPE_MX, 60, v6, sizeof(v6));
	put_record(&m, 0, "b.example", DNS_TYPE_TXT, 60, txt,
		   sizeof(txt) - 1);
	put_record(&m, 1, "b.example", DNS_TYPE_A, 60, v4, sizeof(v4));
	all = end_answer(&m);
	check_text(&m, all, "[\"192.0.2.1\",\"2001:db8::9\",\"a\\\"b\","
		       "\"\xc3\xa9\",\"?\"]\n");
	for (size_t at = 12; at < all; at++)
		free(ts_peerapi_dns_text(m.bytes, at));
	for (uint16_t code = 1; code <= 6; code++) {
		begin_answer(&m, query, (size_t)len, code);
		all = end_answer(&m);
		snprintf(wanted, sizeof(wanted),
			 "{\"Error\":\"DNS RCode = %s\"}\n", codes[code]);
		check_text(&m, all, wanted);
	}
	begin_answer(&m, query, (size_t)len, 0);
	put_record(&m, 0, "a.example", DNS_TYPE_TXT, 60, cut, 4);
	all = end_answer(&m);
	check_text(&m, all, "{\"Error\":\"malformed answer\"}\n");
	begin_answer(&m, query, (size_t)len, 0);
	put_record(&m, 0, "a.example", DNS_TYPE_A, 60, v6, 5);
	all = end_answer(&m);
	check_text(&m, all, "{\"Error\":\"malformed answer\"}\n");
}

static void what_is_no_query(void **state)
{
	static const char *const requests[] = {
		"GET /dns-query HTTP/1.1\r\nHost: peer\r\n\r\n",
		"GET /dns-query?dns= HTTP/1.1\r\nHost: peer\r\n\r\n",
		"GET /dns-query?dns=*** HTTP/1.1\r\nHost: peer\r\n\r\n",
		"GET /dns-query?adns=AAAA HTTP/1.1\r\nHost: peer\r\n\r\n",
		"PUT /dns-query?dns=AAAA HTTP/1.1\r\nHost: peer\r\n\r\n",
		"POST /dns-query HTTP/1.1\r\nHost: peer\r\n"
		"Content-Length: 1\r\n\r\nx",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		struct ts_peerapi_request req;
		const char *problem = NULL;
		uint8_t *query;
		size_t len;

		assert_int_equal(read_text(requests[i], &req), 0);
		assert_int_equal(ts_peerapi_dns_query(&req, &query, &len,
						      &problem),
				 -EBADMSG);
		assert_non_null(problem);
	}
}

/* Who disagrees about where a request ends can put one into another. */
static void where_it_ends_is_said_once(void **state)
{
	static const char *const requests[] = {
		"POST / HTTP/1.1\r\nContent-Length: 1\r\n"
		"content-length: 2\r\n\r\nxy",
		"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
		"POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\nx",
		"POST / HTTP/1.1\r\nContent-Length: \r\n\r\nx",
		"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
	};
	struct ts_peerapi_request req;

	(void)state;
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		assert_int_equal(read_text(requests[i], &req), -EBADMSG);
	assert_int_equal(read_text("POST / HTTP/1.1\r\n"
				   "Content-Length: 65536\r\n\r\n", &req),
			 -EMSGSIZE);
}

static void pages_are_known(void **state)
{
	struct ts_peerapi_request req;
	char host[8];

	(void)state;
	assert_int_equal(read_text("GET / HTTP/1.1\r\nHost: [fd7a::1]:80\r\n"
				   "Origin: http://evil\r\n"
				   "Connection: close\r\n\r\n", &req),
			 0);
	assert_true(ts_peerapi_is_of_browser(&req));
	assert_false(req.keep_alive);
	assert_true(ts_peerapi_host(&req, host, sizeof(host)));
	assert_string_equal(host, "fd7a::1");
	assert_false(ts_peerapi_host(&req, host, 7));
	assert_int_equal(read_text("GET / HTTP/1.1\r\nHost: [fd7a\r\n"
				   "Referer: x\r\n\r\n", &req),
			 0);
	assert_true(ts_peerapi_is_of_browser(&req));
	assert_false(ts_peerapi_host(&req, host, sizeof(host)));
	assert_int_equal(read_text("GET / HTTP/1.1\r\n\r\n", &req), 0);
	assert_false(ts_peerapi_host(&req, host, sizeof(host)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_posted_query),
		cmocka_unit_test(cut_at_each_length),
		cmocka_unit_test(a_query_in_the_address),
		cmocka_unit_test(a_question_in_the_address),
		cmocka_unit_test(an_answer_for_people),
		cmocka_unit_test(what_is_no_query),
		cmocka_unit_test(where_it_ends_is_said_once),
		cmocka_unit_test(pages_are_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
