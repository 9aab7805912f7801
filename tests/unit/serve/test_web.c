/* SPDX-License-Identifier: BSD-3-Clause
 * test_web.c - which handler answers, where it leads, and what it is told
 * Source: ipn/ipnlocal/serve.go
 */
#include "../test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/serve/proxy_head.h"

static void check_mount(const json_t *handlers, const char *path,
			const char *mount)
{
	struct ts_serve_handler h;
	bool is_there = ts_serve_find_handler(handlers, path, &h);

	if (is_there != !!mount || (mount && strcmp(h.mount, mount) != 0))
		fail_msg("%s: %s", path, is_there ? h.mount : "nothing");
}

static void the_nearest_mount_answers(void **state)
{
	json_t *handlers = json_loads("{\"/\":{\"Text\":\"a\"},"
				      "\"/foo/\":{\"Text\":\"b\"},"
				      "\"/bar\":{\"Text\":\"c\"},"
				      "\"/bar/baz\":{\"Proxy\":\"3\"}}", 0, NULL);

	(void)state;
	check_mount(handlers, "/", "/");
	check_mount(handlers, "/x/y", "/");
	check_mount(handlers, "/foo", "/foo/");
	check_mount(handlers, "/foo/", "/foo/");
	check_mount(handlers, "/foo/a/b", "/foo/");
	check_mount(handlers, "/foobar", "/");
	check_mount(handlers, "/bar", "/bar");
	check_mount(handlers, "/bar/", "/bar");
	check_mount(handlers, "/bar/x", "/bar");
	check_mount(handlers, "/bar/baz/1", "/bar/baz");
	check_mount(handlers, "/foo/../bar", "/bar");
	check_mount(handlers, "//foo//x", "/foo/");
	check_mount(handlers, "", NULL);
	check_mount(handlers, "*", NULL);
	json_decref(handlers);
	handlers = json_loads("{\"/foo\":{\"Text\":\"a\"}}", 0, NULL);
	check_mount(handlers, "/", NULL);
	check_mount(handlers, "/fo", NULL);
	json_decref(handlers);
}

/* Of the processor's time, whatever else runs: by the square of its length a
 * path would take minutes here. */
static void a_long_path_takes_little_time(void **state)
{
	enum { LEN = 16000, TIMES = 200 };
	json_t *handlers = json_loads("{\"/a/a/\":{\"Text\":\"a\"},"
				      "\"/a/b\":{\"Text\":\"b\"}}", 0, NULL);
	char *path = malloc(LEN + 1);
	clock_t begin = clock();

	(void)state;
	for (int i = 0; i < LEN; i += 2)
		memcpy(path + i, "/a", 3);
	for (int i = 0; i < TIMES; i++)
		check_mount(handlers, path, "/a/a/");
	path[3] = 'b';
	check_mount(handlers, path, "/a/b");
	path[3] = 'c';
	check_mount(handlers, path, NULL);
	assert_true((clock() - begin) / CLOCKS_PER_SEC < 5);
	free(path);
	json_decref(handlers);
}

static void a_mount_may_be_as_long_as_the_path(void **state)
{
	json_t *handlers = json_loads("{\"/abc/de\":{\"Text\":\"a\"},"
				      "\"/abc/\":{\"Text\":\"b\"}}", 0, NULL);

	(void)state;
	check_mount(handlers, "/abc/de", "/abc/de");
	check_mount(handlers, "/abc/de/f", "/abc/de");
	check_mount(handlers, "/abc/def", "/abc/");
	check_mount(handlers, "/abcdefgh/i", NULL);
	json_decref(handlers);
}

static void paths_are_cleaned_as_go_does(void **state)
{
	static const char *const cases[][2] = {
		{"/", "/"}, {"//", "/"}, {"/a/", "/a"}, {"/a/./b", "/a/b"},
		{"/a/../b", "/b"}, {"/../../x", "/x"}, {"/a/b/../..", "/"},
		{"/..a/...", "/..a/..."}, {"/a//b", "/a/b"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *clean = ts_serve_clean_path(cases[i][0]);

		assert_string_equal(clean, cases[i][1]);
		free(clean);
	}
}

static void names_are_completed(void **state)
{
	char name[TS_SERVE_HOST_CAP];

	(void)state;
	ts_serve_web_name("web", "t.ts.net", name);
	assert_string_equal(name, "web.t.ts.net");
	ts_serve_web_name("web.t.ts.net:8080", "t.ts.net", name);
	assert_string_equal(name, "web.t.ts.net");
	ts_serve_web_name("100.64.0.1:80", "t.ts.net", name);
	assert_string_equal(name, "100.64.0.1.t.ts.net");
	ts_serve_web_name("[fd7a::1]:80", "t.ts.net", name);
	assert_string_equal(name, "fd7a::1.t.ts.net");
	ts_serve_web_name("", "t.ts.net", name);
	assert_string_equal(name, ".t.ts.net");
}

/* -- targets -------------------------------------------------------------- */

static struct ts_serve_request request(const char *text)
{
	struct ts_serve_request req;

	assert_int_equal(ts_serve_request_read(text, strlen(text), &req), 0);
	return req;
}

static void check_target(const char *proxy, const char *mount,
			 const char *path, const char *want)
{
	struct ts_serve_target target;
	struct ts_serve_request req;
	char text[256], *got;

	snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: h\r\n\r\n",
		 path);
	req = request(text);
	assert_int_equal(ts_serve_target_parse(proxy, &target), 0);
	got = ts_serve_target_path(&target, mount, &req);
	if (!want)
		assert_null(got);
	else
		assert_string_equal(got, want);
	free(got);
	ts_serve_request_deinit(&req);
}

static void requests_go_below_the_target(void **state)
{
	(void)state;
	check_target("3000", "/", "/a/b?c=d", "/a/b?c=d");
	check_target("3000", "/foo", "/foo", "/");
	check_target("3000", "/foo", "/foo/bar", "/bar");
	check_target("3000", "/foo/", "/foo/bar?x", "/bar?x");
	check_target("http://h:1/api", "/foo", "/foo", "/api");
	check_target("http://h:1/api/", "/foo", "/foo", "/api/");
	check_target("http://h:1/api", "/foo", "/foo/", "/api/");
	check_target("http://h:1/api", "/", "/x", "/api/x");
	check_target("http://h:1/api?k=v", "/", "/x?y=z", "/api/x?k=v&y=z");
	check_target("http://h:1/", "/", "/", "/");
	check_target("3000", "/a b", "/a%20b/c%2Fd", "/c%2Fd");
	check_target("3000", "/foo", "//foo", NULL);
	check_target("unix:/run/x.sock", "/foo", "/foo/bar", "/bar");
}

static void targets_have_many_forms(void **state)
{
	static const struct {
		const char *proxy;
		enum ts_serve_scheme scheme;
		const char *host;
		uint16_t port;
	} good[] = {
		{"3000", TS_SERVE_HTTP, "127.0.0.1", 3000},
		{"localhost:3000", TS_SERVE_HTTP, "localhost", 3000},
		{"http://localhost:3000/x", TS_SERVE_HTTP, "localhost", 3000},
		{"http://example.com", TS_SERVE_HTTP, "example.com", 80},
		{"https://example.com", TS_SERVE_HTTPS, "example.com", 443},
		{"https+insecure://10.0.0.1:8443", TS_SERVE_HTTPS_INSECURE,
		 "10.0.0.1", 8443},
		{"http://[::1]:80", TS_SERVE_HTTP, "::1", 80},
		{"unix:/tmp/s", TS_SERVE_UNIX, "/tmp/s", 80},
	};
	static const char *const bad[] = {
		"", "0", "65536", "99999999", "http://", "http://:80", "unix:",
		"http://h:x", "http://[::1", "http://h:1/a b",
		"http://h:1/\r\nX: y", "https://[::1]x",
	};
	struct ts_serve_target t;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(ts_serve_target_parse(good[i].proxy, &t), 0);
		assert_int_equal(t.scheme, good[i].scheme);
		assert_string_equal(t.host, good[i].host);
		assert_int_equal(t.port, good[i].port);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (ts_serve_target_parse(bad[i], &t) != -EINVAL)
			fail_msg("%s", bad[i]);
	assert_int_equal(ts_serve_forward_parse("127.0.0.1:22", &t), 0);
	assert_int_equal(t.port, 22);
	assert_int_equal(ts_serve_forward_parse("unix:rel.sock", &t), 0);
	assert_string_equal(t.host, "rel.sock");
	assert_int_equal(ts_serve_forward_parse("127.0.0.1", &t), -EINVAL);
	assert_int_equal(ts_serve_forward_parse("", &t), -EINVAL);
}

static void redirects_expand(void **state)
{
	static const struct {
		const char *redirect, *to;
		int status;
	} cases[] = {
		{"https://x/", "https://x/", 302},
		{"301:https://x/", "https://x/", 301},
		{"308:https://${HOST}${REQUEST_URI}", "https://h:80/a?b", 308},
		{"https://${HOST}/${HOST}", "https://h:80/h:80", 302},
		{"200:x", "200:x", 302},
		{"${OTHER}", "${OTHER}", 302},
	};
	struct ts_serve_request req =
		request("GET /a?b HTTP/1.1\r\nHost: h:80\r\n\r\n");

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int status;
		char *to = ts_serve_redirect(cases[i].redirect, &req, &status);

		assert_string_equal(to, cases[i].to);
		assert_int_equal(status, cases[i].status);
		free(to);
	}
	ts_serve_request_deinit(&req);
}

/* -- heads ---------------------------------------------------------------- */

static char *proxied(const char *text, const char *proxy,
		     const struct ts_serve_caller *caller)
{
	struct ts_serve_request req = request(text);
	struct ts_serve_target target;
	struct ts_byte_queue q;
	char *path, *out;

	ts_byte_queue_init(&q, 65536);
	assert_int_equal(ts_serve_target_parse(proxy, &target), 0);
	path = ts_serve_target_path(&target, "/", &req);
	assert_int_equal(ts_serve_write_request(&q, &req, &target, path,
						caller), 0);
	out = strndup((const char *)ts_byte_queue_data(&q),
		      ts_byte_queue_len(&q));
	free(path);
	ts_byte_queue_deinit(&q);
	ts_serve_request_deinit(&req);
	return out;
}

static void nobody_says_who_he_is(void **state)
{
	const struct ts_serve_caller caller = {
		.ip = "100.64.0.9", .is_tls = true, .has_user = true,
		.login = "ann@example.com", .name = "Änn", .picture = "http://p",
	};
	char *head = proxied(
		"POST /x HTTP/1.1\r\nHost: h\r\nTailscale-User-Login: root\r\n"
		"tailscale-user-name: root\r\nX-Forwarded-For: 1.2.3.4\r\n"
		"Forwarded: for=1\r\nTailscale-Funnel-Request: ?1\r\n"
		"Connection: X-Secret, keep-alive\r\nX-Secret: 1\r\n"
		"Te: trailers\r\nProxy-Authorization: x\r\nAccept: */*\r\n"
		"Tailscale-App-Capabilities: {}\r\nTailscale-Headers-Info: x\r\n"
		"Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n",
		"3000", &caller);

	(void)state;
	assert_string_equal(head,
		"POST /x HTTP/1.1\r\nHost: h\r\nAccept: */*\r\n"
		"X-Forwarded-For: 100.64.0.9\r\nX-Forwarded-Host: h\r\n"
		"X-Forwarded-Proto: https\r\n"
		"Tailscale-User-Login: ann@example.com\r\n"
		"Tailscale-User-Name: =?utf-8?q?=C3=84nn?=\r\n"
		"Tailscale-User-Profile-Pic: http://p\r\n"
		"Tailscale-Headers-Info: https://tailscale.com/s/serve-headers"
		"\r\nTransfer-Encoding: chunked\r\nTe: trailers\r\n\r\n");
	free(head);
}

/* What CGI and WSGI would hand to a program under the same name. */
static void nor_with_underscores(void **state)
{
	const struct ts_serve_caller caller = {.ip = "100.64.0.9"};
	char *head = proxied(
		"GET / HTTP/1.1\r\nHost: h\r\nTailscale_User_Login: root\r\n"
		"Tailscale-User_Name: root\r\ntailscale.user.login: root\r\n"
		"X_Forwarded_For: 1.2.3.4\r\nX-Forwarded_Proto: https\r\n"
		"Tailscale_Funnel_Request: ?1\r\nContent_Length: 5\r\n"
		"Tailscale_App_Capabilities: {}\r\nTransfer_Encoding: "
		"chunked\r\nTailscale_User: x\r\nX_Own: y\r\n\r\n",
		"3000", &caller);

	(void)state;
	assert_string_equal(head,
		"GET / HTTP/1.1\r\nHost: h\r\nTailscale_User: x\r\n"
		"X_Own: y\r\nX-Forwarded-For: 100.64.0.9\r\n"
		"X-Forwarded-Host: h\r\n\r\n");
	free(head);
}

static void funnel_and_tags_have_no_user(void **state)
{
	const struct ts_serve_caller funnel = {.ip = "9.9.9.9", .is_funnel = true,
					       .has_user = true, .login = "x"};
	const struct ts_serve_caller tagged = {.ip = "100.64.0.2",
					       .app_caps = "{\"a\":[1]}"};
	char *head = proxied("GET / HTTP/1.1\r\nHost: h\r\n\r\n",
			     "unix:/s", &funnel);

	(void)state;
	assert_string_equal(head, "GET / HTTP/1.1\r\nHost: localhost\r\n"
		"X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Host: h\r\n"
		"Tailscale-Funnel-Request: ?1\r\n\r\n");
	free(head);
	head = proxied("GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
		       "Connection: Upgrade\r\n\r\n", "3000", &tagged);
	assert_string_equal(head, "GET / HTTP/1.1\r\nHost: h\r\n"
		"X-Forwarded-For: 100.64.0.2\r\nX-Forwarded-Host: h\r\n"
		"Tailscale-App-Capabilities: {\"a\":[1]}\r\n"
		"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
	free(head);
}

static void check_answer(const char *text, bool is_chunked, bool keeps,
			 const char *want)
{
	struct ts_http1_head head;
	struct ts_http_body body;
	struct ts_byte_queue q;
	struct ts_serve_answer answer = {
		.head = &head, .body = &body, .is_chunked = is_chunked,
		.keeps_alive = keeps};
	char *got;

	ts_byte_queue_init(&q, 65536);
	assert_int_equal(ts_http1_read_response(text, strlen(text), &head), 0);
	assert_int_equal(ts_http_body_of_response(&head, false, &body), 0);
	answer.is_upgrade = head.status == 101;
	assert_int_equal(ts_serve_write_answer(&q, &answer), 0);
	got = strndup((const char *)ts_byte_queue_data(&q),
		      ts_byte_queue_len(&q));
	assert_string_equal(got, want);
	free(got);
	ts_byte_queue_deinit(&q);
}

static void answers_are_framed_anew(void **state)
{
	(void)state;
	check_answer("HTTP/1.0 200 Fine\r\nContent-Length: 4\r\nX: y\r\n"
		     "Connection: close, X-Hop\r\nX-Hop: 1\r\n\r\n", false, true,
		     "HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 4\r\n\r\n");
	check_answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		     true, true,
		     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	check_answer("HTTP/1.1 200 OK\r\n\r\n", false, false,
		     "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
	check_answer("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
		     false, true,
		     "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n");
	check_answer("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
		     "Connection: Upgrade\r\n\r\n", false, true,
		     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
		     "Connection: Upgrade\r\n\r\n");
}

/* As mime.QEncoding does it. */
static void values_are_encoded_as_go_does(void **state)
{
	static const char *const cases[][2] = {
		{"", ""}, {"Ann Example", "Ann Example"}, {"a\tb", "a\tb"},
		{"\xff", ""}, {"a\xc3", ""}, {"\xed\xa0\x80", ""},
		{"Zo\xc3\xab_x=?", "=?utf-8?q?Zo=C3=AB=5Fx=3D=3F?="},
		{"a b\n", "=?utf-8?q?a_b=0A?="},
		{"\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac"
		 "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac",
		 "=?utf-8?q?=E2=82=AC=E2=82=AC=E2=82=AC=E2=82=AC=E2=82=AC=E2"
		 "=82=AC=E2=82=AC?= =?utf-8?q?=E2=82=AC?="},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *got = ts_serve_encode_value(cases[i][0]);

		assert_string_equal(got, cases[i][1]);
		free(got);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_nearest_mount_answers),
		cmocka_unit_test(a_long_path_takes_little_time),
		cmocka_unit_test(a_mount_may_be_as_long_as_the_path),
		cmocka_unit_test(paths_are_cleaned_as_go_does),
		cmocka_unit_test(names_are_completed),
		cmocka_unit_test(requests_go_below_the_target),
		cmocka_unit_test(targets_have_many_forms),
		cmocka_unit_test(redirects_expand),
		cmocka_unit_test(nobody_says_who_he_is),
		cmocka_unit_test(nor_with_underscores),
		cmocka_unit_test(funnel_and_tags_have_no_user),
		cmocka_unit_test(answers_are_framed_anew),
		cmocka_unit_test(values_are_encoded_as_go_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
