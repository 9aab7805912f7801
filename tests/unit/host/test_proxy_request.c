/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/test.h"

#include <errno.h>
#include <string.h>

#include "core/host/proxy_request.h"

struct dialogue {
	struct ts_proxy_parser p;
	size_t steps; /* answers before the end */
	enum ts_proxy_step end;
	const uint8_t *rest;
	size_t rest_len;
};

static struct dialogue talk(const void *bytes, size_t len)
{
	struct dialogue d = {.p = {.user = "user", .password = "secret"},
			     .end = PROXY_SAY, .rest = bytes, .rest_len = len};
	size_t used;

	while (d.end == PROXY_SAY) {
		d.end = ts_proxy_parse(&d.p, d.rest, d.rest_len, &used);
		assert_true(used <= d.rest_len);
		d.rest += used;
		d.rest_len -= used;
		d.steps += d.end == PROXY_SAY;
	}
	return d;
}

static const uint8_t SOCKS[] = "\x05\x02\x00\x02"
			       "\x01\x04user\x06secret"
			       "\x05\x01\x00\x03\x03web\x1f\x40rest";

static void test_socks_by_name(void **state)
{
	struct dialogue d = talk(SOCKS, sizeof(SOCKS) - 1);

	(void)state;
	assert_int_equal(d.end, PROXY_CALL);
	assert_int_equal(d.steps, 2);
	assert_string_equal(d.p.host, "web");
	assert_int_equal(d.p.port, 8000);
	assert_int_equal(d.rest_len, 4);
	ts_proxy_answer(&d.p, 0);
	assert_memory_equal(d.p.answer, "\x05\x00\x00\x01", 4);
	ts_proxy_answer(&d.p, -ECONNREFUSED);
	assert_int_equal(d.p.answer[1], 5);
	ts_proxy_answer(&d.p, -ENOENT);
	assert_int_equal(d.p.answer[1], 4);
}

static void test_socks_cut_at_each_length(void **state)
{
	(void)state;
	for (size_t len = 0; len < sizeof(SOCKS) - 1 - 4; len++) {
		struct dialogue d = talk(SOCKS, len);

		assert_int_equal(d.end, PROXY_MORE);
	}
}

static void test_socks_by_address(void **state)
{
	static const uint8_t v4[] = "\x05\x01\x02\x01\x04user\x06secret"
				    "\x05\x01\x00\x01\x64\x40\x00\x07\x00\x50";
	static const uint8_t v6[] = "\x05\x01\x02\x01\x04user\x06secret"
				    "\x05\x01\x00\x04"
				    "\xfd\x7a\x11\x5c\xa1\xe0\0\0\0\0\0\0"
				    "\0\0\0\x07\x00\x50";
	struct dialogue d = talk(v4, sizeof(v4) - 1);

	(void)state;
	assert_int_equal(d.end, PROXY_CALL);
	assert_string_equal(d.p.host, "100.64.0.7");
	d = talk(v6, sizeof(v6) - 1);
	assert_int_equal(d.end, PROXY_CALL);
	assert_string_equal(d.p.host, "fd7a:115c:a1e0::7");
	assert_int_equal(d.p.port, 80);
}

static void test_socks_refusals(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		uint8_t answer[2];
	} cases[] = {
		{"\x05\x01\x00", 3, {5, 0xff}}, /* no password offered */
		{"\x05\x01\x02\x01\x04user\x06secreT", 16, {1, 1}},
		{"\x05\x01\x02\x01\x04usex\x06secret", 16, {1, 1}},
		{"\x05\x01\x02\x01\x00\x00", 6, {1, 1}},
		{"\x05\x01\x02\x01\x04user\x06secret\x05\x02\x00\x01", 20,
		 {5, 7}},
		{"\x05\x01\x02\x01\x04user\x06secret\x05\x01\x00\x05", 20,
		 {5, 8}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct dialogue d = talk(cases[i].bytes, cases[i].len);

		assert_int_equal(d.end, PROXY_FAIL);
		assert_memory_equal(d.p.answer, cases[i].answer, 2);
	}
}

/* user:secret */
#define AUTH "Proxy-Authorization: Basic dXNlcjpzZWNyZXQ=\r\n"

static struct dialogue http(const char *text)
{
	return talk(text, strlen(text));
}

static void test_http_connect(void **state)
{
	struct dialogue d = http("CONNECT web.lab.ts.net:443 HTTP/1.1\r\n" AUTH
				 "\r\nrest");

	(void)state;
	assert_int_equal(d.end, PROXY_CALL);
	assert_int_equal(d.p.kind, PROXY_HTTP_CONNECT);
	assert_string_equal(d.p.host, "web.lab.ts.net");
	assert_int_equal(d.p.port, 443);
	assert_int_equal(d.rest_len, 4);
	d = http("CONNECT [fd7a::1]:22 HTTP/1.1\r\n" AUTH "\r\n");
	assert_string_equal(d.p.host, "fd7a::1");
	assert_int_equal(d.p.port, 22);
}

static void test_http_refusals(void **state)
{
	static const struct {
		const char *text, *status;
	} cases[] = {
		{"CONNECT web:1 HTTP/1.1\r\n\r\n", "407"},
		{"CONNECT web:1 HTTP/1.1\r\n"
		 "Proxy-Authorization: Basic dXNlcjpzZWNyZXR4\r\n\r\n", "407"},
		{"CONNECT web:1 HTTP/1.1\r\n"
		 "Proxy-Authorization: Basic ====\r\n\r\n", "407"},
		{"CONNECT web HTTP/1.1\r\n" AUTH "\r\n", "400"},
		{"CONNECT web:0 HTTP/1.1\r\n" AUTH "\r\n", "400"},
		{"CONNECT web:65536 HTTP/1.1\r\n" AUTH "\r\n", "400"},
		{"CONNECT web:99999999999999999999 HTTP/1.1\r\n" AUTH "\r\n",
		 "400"},
		{"CONNECT :1 HTTP/1.1\r\n" AUTH "\r\n", "400"},
		{"CONNECT [::1:1 HTTP/1.1\r\n" AUTH "\r\n", "400"},
		{"GET / HTTP/1.1\r\n" AUTH "\r\n", "400"},
		{"GET http://u:p@web/ HTTP/1.1\r\n" AUTH "\r\n", "400"},
		{"GET https://web/ HTTP/1.1\r\n" AUTH "\r\n", "400"},
		{"\x04\x01\r\n\r\n", "400"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct dialogue d = http(cases[i].text);

		if (d.end != PROXY_FAIL)
			fail_msg("%s is not refused", cases[i].text);
		assert_memory_equal(d.p.answer + 9, cases[i].status, 3);
	}
}

static void check_forward(const char *text, const char *host, uint16_t port,
			  const char *expected)
{
	struct dialogue d = http(text);
	char out[1024];
	size_t used;
	int len;

	assert_int_equal(d.end, PROXY_CALL);
	assert_int_equal(d.p.kind, PROXY_HTTP_FORWARD);
	assert_string_equal(d.p.host, host);
	assert_int_equal(d.p.port, port);
	len = ts_proxy_forward(d.rest, d.rest_len, (uint8_t *)out,
			       sizeof(out) - 1, &used);
	assert_true(len > 0);
	out[len] = '\0';
	assert_string_equal(out, expected);
	assert_int_equal(d.rest_len - used, 4);
	assert_int_equal(ts_proxy_forward(d.rest, d.rest_len, (uint8_t *)out,
					  (size_t)len - 1, &used), -ENOBUFS);
}

static void test_http_forward(void **state)
{
	(void)state;
	check_forward("POST http://web:8080/a?b HTTP/1.1\r\nHost: web:8080\r\n"
		      "Proxy-Connection: keep-alive\r\n" AUTH
		      "Content-Length: 4\r\nConnection: keep-alive\r\n\r\nbody",
		      "web", 8080,
		      "POST /a?b HTTP/1.1\r\nHost: web:8080\r\n"
		      "Content-Length: 4\r\nConnection: close\r\n\r\n");
	check_forward("GET http://web HTTP/1.1\r\n" AUTH "\r\nbody", "web", 80,
		      "GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
	check_forward("GET http://web?q HTTP/1.1\r\n" AUTH "\r\nbody", "web",
		      80, "GET /?q HTTP/1.1\r\nConnection: close\r\n\r\n");
}

/* -- datagrams ------------------------------------------------------------ */

static const uint8_t ASSOCIATE[] = "\x05\x01\x02\x01\x04user\x06secret"
				   "\x05\x03\x00\x01\x7f\x00\x00\x01\x1f\x40";

static void test_associate(void **state)
{
	struct dialogue d = talk(ASSOCIATE, sizeof(ASSOCIATE) - 1);
	struct ts_addr at = {.port = 0x1234};

	(void)state;
	assert_int_equal(d.end, PROXY_ASSOCIATE);
	assert_string_equal(d.p.host, "127.0.0.1");
	assert_int_equal(d.p.port, 8000);
	at.ip = ts_ip_from_v4_host(0x7f000001);
	ts_proxy_answer_at(&d.p, &at);
	assert_int_equal(d.p.answer_len, 10);
	assert_memory_equal(d.p.answer,
			    "\x05\x00\x00\x01\x7f\x00\x00\x01\x12\x34", 10);
	for (size_t len = 0; len < sizeof(ASSOCIATE) - 1; len++)
		assert_int_equal(talk(ASSOCIATE, len).end, PROXY_MORE);
}

static void test_datagram_head(void **state)
{
	static const uint8_t named[] = "\x00\x00\x00\x03\x03web\x00\x35hi";
	static const uint8_t part[] =
		"\x00\x00\x01\x01\x01\x02\x03\x04\x00\x35";
	const size_t head_len = 4 + 4 + 2;
	char host[PROXY_HOST_CAP];
	const uint8_t *data;
	size_t len;
	uint16_t port;

	(void)state;
	assert_int_equal(ts_proxy_read_datagram(named, sizeof(named) - 1, host,
						&port, &data, &len), 0);
	assert_string_equal(host, "web");
	assert_int_equal(port, 53);
	assert_int_equal(len, 2);
	assert_memory_equal(data, "hi", 2);
	for (size_t cut = 0; cut < head_len; cut++)
		assert_int_equal(ts_proxy_read_datagram(named, cut, host, &port,
							&data, &len), -EBADMSG);
	assert_int_equal(ts_proxy_read_datagram(part, sizeof(part) - 1, host,
						&port, &data, &len), -ENOTSUP);
}

static void test_datagram_head_is_read_back(void **state)
{
	static const char *const texts[] = {"100.64.0.1:7",
					    "[fd7a:115c:a1e0::1]:65535"};
	uint8_t out[PROXY_DATAGRAM_HEAD_MAX];
	char host[PROXY_HOST_CAP];
	const uint8_t *data;
	size_t len, data_len;
	uint16_t port;

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct ts_addr from;
		struct ts_ip ip;

		assert_int_equal(ts_addr_parse(texts[i], &from), 0);
		len = ts_proxy_write_datagram_head(&from, out);
		assert_int_equal(ts_proxy_read_datagram(out, len, host, &port,
							&data, &data_len), 0);
		assert_int_equal(data_len, 0);
		assert_int_equal(port, from.port);
		assert_int_equal(ts_ip_parse(host, &ip), 0);
		assert_true(ts_ip_equal(&ip, &from.ip));
	}
}

/* -- the LocalAPI --------------------------------------------------------- */

#define MARK "Sec-Tailscale: localapi\r\n"
#define LOCAL_AUTH "Authorization: Basic OmxvY2Fs\r\n" /* :local */

static struct dialogue local(const char *text, const char *password)
{
	struct dialogue d = {.p = {.user = "user", .password = "secret",
				   .local_password = password},
			     .rest = (const uint8_t *)text,
			     .rest_len = strlen(text)};
	size_t used;

	d.end = ts_proxy_parse(&d.p, d.rest, d.rest_len, &used);
	return d;
}

static void check_denied(const char *text, const char *status)
{
	struct dialogue d = local(text, "local");

	assert_int_equal(d.end, PROXY_FAIL);
	assert_false(d.p.is_authorized);
	assert_memory_equal(d.p.answer + strlen("HTTP/1.1 "), status, 3);
}

static void test_localapi_needs_both(void **state)
{
	(void)state;
	check_denied("GET / HTTP/1.1\r\n" LOCAL_AUTH "\r\n", "403");
	check_denied("GET / HTTP/1.1\r\nSec-Tailscale: x\r\n" LOCAL_AUTH
		     "\r\n", "403");
	check_denied("GET / HTTP/1.1\r\n" MARK "\r\n", "401");
	/* another password; no colon; the proxy's way to say it */
	check_denied("GET / HTTP/1.1\r\n" MARK
		     "Authorization: Basic OmxvY2FM\r\n\r\n", "401");
	check_denied("GET / HTTP/1.1\r\n" MARK
		     "Authorization: Basic bG9jYWw=\r\n\r\n", "401");
	check_denied("GET / HTTP/1.1\r\n" MARK
		     "Proxy-Authorization: Basic OmxvY2Fs\r\n\r\n", "401");
	/* where it is not served, it is a request like any other */
	assert_memory_equal(local("GET / HTTP/1.1\r\n" MARK LOCAL_AUTH "\r\n",
				  NULL).p.answer, "HTTP/1.1 407", 12);
}

static void test_localapi_is_forwarded(void **state)
{
	struct dialogue d = local("POST /localapi/v0/x?y HTTP/1.1\r\n"
				  "Host: 127.0.0.1:1\r\n" MARK LOCAL_AUTH
				  "Content-Length: 4\r\n"
				  "Connection: keep-alive\r\n\r\nbody",
				  "local");
	char out[512];
	size_t used;
	int len;

	(void)state;
	assert_int_equal(d.end, PROXY_CALL);
	assert_int_equal(d.p.kind, PROXY_LOCALAPI);
	assert_true(d.p.is_authorized);
	len = ts_proxy_forward_local(d.rest, d.rest_len, (uint8_t *)out,
				     sizeof(out) - 1, &used);
	assert_true(len > 0);
	out[len] = '\0';
	assert_string_equal(out, "POST /localapi/v0/x?y HTTP/1.1\r\n"
				 "Host: local-tailscaled.sock\r\n" MARK
				 "Content-Length: 4\r\n"
				 "Connection: close\r\n\r\n");
	assert_int_equal(d.rest_len - used, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_associate),
		cmocka_unit_test(test_datagram_head),
		cmocka_unit_test(test_datagram_head_is_read_back),
		cmocka_unit_test(test_localapi_needs_both),
		cmocka_unit_test(test_localapi_is_forwarded),
		cmocka_unit_test(test_socks_by_name),
		cmocka_unit_test(test_socks_cut_at_each_length),
		cmocka_unit_test(test_socks_by_address),
		cmocka_unit_test(test_socks_refusals),
		cmocka_unit_test(test_http_connect),
		cmocka_unit_test(test_http_refusals),
		cmocka_unit_test(test_http_forward),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
