/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "tests/unit/io/link_bench.h"
#include "tests/unit/io/peer.h"

static struct ts_link_config plain_to(uint16_t port)
{
	return (struct ts_link_config){
		.host = "127.0.0.1", .port = port, .tls = TS_LINK_PLAIN,
		.timeout_ms = 2000,
	};
}

static void open_link(struct bench *b, const struct ts_link_config *config)
{
	b->link = ts_link_open(b->loop, b->res, config, &bench_ops, b);
	assert_non_null(b->link);
	assert_int_equal(b->connected + b->closed, 0);
}

static void echo_once(struct peer *p, int fd, SSL *ssl)
{
	ssize_t got = peer_read(fd, ssl, p->seen, sizeof(p->seen));

	p->seen_len = got > 0 ? (size_t)got : 0;
	if (got > 0)
		peer_write(fd, ssl, p->seen, (size_t)got);
}

static void bytes_go_both_ways_and_eof_closes(void **state)
{
	struct bench *b = *state;
	struct peer peer;
	struct ts_link_config config;

	peer_start(&peer, NULL, echo_once);
	config = plain_to(peer.port);
	b->greeting = "hello";
	b->close_on_closed = true; /* harmless there */
	open_link(b, &config);
	bench_run(b, 2000);
	assert_int_equal(b->connected, 1);
	assert_int_equal(b->closed, 1);
	assert_false(b->has_error);
	assert_memory_equal(b->input, "hello", 5);
	assert_int_equal(b->input_len, 5);
	peer_join(&peer);
}

static void writes_before_connected_wait_in_the_queue(void **state)
{
	struct bench *b = *state;
	struct peer peer;
	struct ts_link_config config;

	peer_start(&peer, NULL, echo_once);
	config = plain_to(peer.port);
	open_link(b, &config);
	assert_int_equal(ts_link_write(b->link, "early", 5), 0);
	assert_int_equal(ts_link_queued(b->link), 5);
	bench_run(b, 2000);
	assert_memory_equal(b->input, "early", 5);
	peer_join(&peer);
}

static void a_refused_port_is_told_in_one_line(void **state)
{
	struct bench *b = *state;
	struct ts_link_config config;
	char expected[128];
	uint16_t port;

	close(peer_listen(&port));
	config = plain_to(port);
	open_link(b, &config);
	bench_run(b, 2000);
	snprintf(expected, sizeof(expected),
		 "127.0.0.1:%u: connect to 127.0.0.1: connection refused",
		 port);
	assert_int_equal(b->connected, 0);
	assert_int_equal(b->closed, 1);
	assert_string_equal(b->error, expected);
}

static void given_addresses_replace_the_name(void **state)
{
	struct bench *b = *state;
	struct peer peer;
	struct ts_link_config config;

	peer_start(&peer, NULL, echo_once);
	config = plain_to(peer.port);
	config.host = "derp.invalid";
	config.ipv4 = "127.0.0.1";
	config.ipv6 = "none";
	b->greeting = "x";
	open_link(b, &config);
	bench_run(b, 2000);
	assert_int_equal(b->total, 1);
	peer_join(&peer);
}

static void two_switched_off_families_fail(void **state)
{
	struct bench *b = *state;
	struct ts_link_config config = plain_to(1);

	config.host = "derp.invalid";
	config.ipv4 = config.ipv6 = "none";
	open_link(b, &config);
	bench_run(b, 2000);
	assert_string_equal(b->error, "derp.invalid:1: both address families "
				      "are switched off");
}

static void hosts_that_are_no_names_fail(void **state)
{
	static const char *const hosts[] = {"", "a b", "a\r\nX: y", "a/b"};
	struct bench *b = *state;

	for (size_t i = 0; i < 4; i++) {
		struct ts_link_config config = plain_to(1);

		config.host = hosts[i];
		b->closed = 0;
		open_link(b, &config);
		bench_run(b, 2000);
		assert_int_equal(b->closed, 1);
		assert_non_null(strstr(b->error, "not a host name"));
	}
}

static void localhost_is_resolved(void **state)
{
	struct bench *b = *state;
	struct peer peer;
	struct ts_link_config config;

	peer_start(&peer, NULL, echo_once);
	config = plain_to(peer.port);
	config.host = "localhost"; /* ::1 is refused, then 127.0.0.1 */
	b->greeting = "x";
	open_link(b, &config);
	bench_run(b, 2000);
	assert_int_equal(b->total, 1);
	peer_join(&peer);
}

/* -- closing inside callbacks --------------------------------------------- */

static void closing_inside_connected_is_the_end(void **state)
{
	struct bench *b = *state;
	struct peer peer;
	struct ts_link_config config;

	peer_start(&peer, NULL, echo_once);
	config = plain_to(peer.port);
	b->greeting = "bye";
	b->close_on_connected = true;
	open_link(b, &config);
	bench_run(b, 2000);
	peer_join(&peer);
	assert_int_equal(b->closed, 0);
	assert_int_equal(peer.seen_len, 3); /* what was queued went out */
}

static void closing_inside_input_is_the_end(void **state)
{
	struct bench *b = *state;
	struct peer peer;
	struct ts_link_config config;

	peer_start(&peer, NULL, echo_once);
	config = plain_to(peer.port);
	b->greeting = "x";
	b->close_on_input = true;
	open_link(b, &config);
	bench_run(b, 2000);
	assert_int_equal(b->total, 1);
	assert_int_equal(b->closed, 0);
	peer_join(&peer);
}

static void closing_before_the_loop_runs_says_nothing(void **state)
{
	struct bench *b = *state;
	struct ts_link_config config = plain_to(1);

	open_link(b, &config);
	ts_link_close(b->link);
	b->link = NULL;
	bench_run(b, 20);
	assert_int_equal(b->connected + b->closed, 0);
}

/* -- the queue ------------------------------------------------------------ */

static void count_all(struct peer *p, int fd, SSL *ssl)
{
	char buf[65536];
	ssize_t got;

	while ((got = peer_read(fd, ssl, buf, sizeof(buf))) > 0)
		p->total += (size_t)got;
}

static void close_still_sends_what_is_queued(void **state)
{
	enum { LEN = 900000 };
	struct bench *b = *state;
	struct peer peer;
	struct ts_link_config config;
	char *data = calloc(1, LEN);

	peer_start(&peer, NULL, count_all);
	config = plain_to(peer.port);
	b->stop_on_connected = true;
	open_link(b, &config);
	bench_run(b, 2000);
	assert_int_equal(ts_link_write(b->link, data, LEN), 0);
	ts_link_close(b->link);
	b->link = NULL;
	bench_run(b, 200); /* the link lives on by itself */
	peer_join(&peer);
	assert_int_equal(peer.total, LEN);
	free(data);
}

static void a_full_queue_closes_the_link(void **state)
{
	struct bench *b = *state;
	struct peer peer;
	struct ts_link_config config;
	char data[600] = {0};

	peer_start(&peer, NULL, count_all);
	config = plain_to(peer.port);
	config.write_queue_max = 1000;
	b->stop_on_connected = true;
	open_link(b, &config);
	bench_run(b, 2000);
	assert_int_equal(ts_link_write(b->link, data, sizeof(data)), 0);
	assert_int_equal(ts_link_write(b->link, data, sizeof(data)), -ENOBUFS);
	assert_int_equal(b->closed, 0);
	bench_run(b, 2000);
	assert_int_equal(b->closed, 1);
	assert_non_null(strstr(b->error, "the write queue is full"));
	peer_join(&peer);
}

static void with_drop_when_full_the_link_stays(void **state)
{
	struct bench *b = *state;
	struct peer peer;
	struct ts_link_config config;
	char data[600] = {0};

	peer_start(&peer, NULL, count_all);
	config = plain_to(peer.port);
	config.write_queue_max = 1000;
	config.drop_when_full = true;
	b->stop_on_connected = true;
	open_link(b, &config);
	bench_run(b, 2000);
	assert_int_equal(ts_link_write(b->link, data, sizeof(data)), 0);
	assert_int_equal(ts_link_write(b->link, data, sizeof(data)), -ENOBUFS);
	bench_run(b, 2000); /* stopped by drained() */
	assert_int_equal(b->drained, 1);
	assert_int_equal(b->closed, 0);
	assert_int_equal(ts_link_queued(b->link), 0);
	ts_link_close(b->link);
	b->link = NULL;
	peer_join(&peer);
	assert_int_equal(peer.total, 600);
}

/* -- races ---------------------------------------------------------------- */

static void the_next_candidate_starts_when_all_others_failed(void **state)
{
	struct bench *b = *state;
	struct ts_link_candidate c[2] = {{.delay_ms = 0}, {.delay_ms = 60000}};
	struct peer peer;
	uint16_t refused;

	close(peer_listen(&refused));
	peer_start(&peer, NULL, echo_once);
	c[0].config = plain_to(refused);
	c[1].config = plain_to(peer.port);
	b->greeting = "x";
	b->link = ts_link_race(b->loop, b->res, c, 2, &bench_ops, b);
	bench_run(b, 2000);
	assert_int_equal(b->connected, 1);
	assert_int_equal(b->total, 1);
	peer_join(&peer);
}

static void the_first_to_get_through_wins(void **state)
{
	struct bench *b = *state;
	struct ts_link_candidate c[2] = {{.delay_ms = 0}, {.delay_ms = 10}};
	struct peer peer;
	uint16_t silent_port;
	int silent = peer_listen(&silent_port); /* never speaks TLS */

	peer_start(&peer, NULL, echo_once);
	c[0].config = plain_to(silent_port);
	c[0].config.tls = TS_LINK_TLS_UNVERIFIED;
	c[1].config = plain_to(peer.port);
	b->greeting = "x";
	b->link = ts_link_race(b->loop, b->res, c, 2, &bench_ops, b);
	bench_run(b, 2000);
	assert_int_equal(b->connected, 1);
	assert_int_equal(b->total, 1);
	peer_join(&peer);
	close(silent);
}

static void a_race_that_all_lose_tells_the_last_reason(void **state)
{
	struct bench *b = *state;
	struct ts_link_candidate c[2] = {{.delay_ms = 0}, {.delay_ms = 5}};
	uint16_t refused;

	close(peer_listen(&refused));
	c[0].config = c[1].config = plain_to(refused);
	b->link = ts_link_race(b->loop, b->res, c, 2, &bench_ops, b);
	bench_run(b, 2000);
	assert_int_equal(b->closed, 1);
	assert_non_null(strstr(b->error, "connection refused"));
}

static void a_race_of_nobody_fails_later(void **state)
{
	struct bench *b = *state;

	b->link = ts_link_race(b->loop, b->res, NULL, 0, &bench_ops, b);
	assert_int_equal(b->closed, 0);
	bench_run(b, 2000);
	assert_string_equal(b->error, "nowhere to connect to");
}

/* -- proxies -------------------------------------------------------------- */

/* Answers in two pieces, the tunnel's first byte glued to the second. */
static void tunnel(struct peer *p, int fd, SSL *ssl)
{
	static const char first[] = "HTTP/1.1 200 Connection est";
	static const char second[] = "ablished\r\nVia: x\r\n\r\nT";

	p->seen_len = (size_t)peer_read(fd, ssl, p->seen, sizeof(p->seen));
	peer_write(fd, ssl, first, sizeof(first) - 1);
	usleep(20000);
	peer_write(fd, ssl, second, sizeof(second) - 1);
	peer_read(fd, ssl, p->seen + p->seen_len, 16);
}

static void set_proxy(const struct peer *peer, const char *userinfo)
{
	char value[128];

	snprintf(value, sizeof(value), "http://%s127.0.0.1:%u", userinfo,
		 peer->port);
	setenv("HTTP_PROXY", value, 1);
}

static void a_proxy_is_asked_by_connect(void **state)
{
	struct bench *b = *state;
	struct peer peer;
	struct ts_link_config config = plain_to(80);

	peer_start(&peer, NULL, tunnel);
	set_proxy(&peer, "user:p%40ss@");
	config.host = "control.invalid";
	b->stop_after = 1;
	open_link(b, &config);
	bench_run(b, 2000);
	unsetenv("HTTP_PROXY");
	assert_int_equal(b->connected, 1);
	assert_int_equal(b->total, 1);
	assert_int_equal(b->input[0], 'T');
	ts_link_close(b->link);
	b->link = NULL;
	peer_join(&peer);
	assert_string_equal(peer.seen,
			    "CONNECT control.invalid:80 HTTP/1.1\r\n"
			    "Host: control.invalid:80\r\n"
			    "Proxy-Authorization: Basic dXNlcjpwQHNz\r\n\r\n");
}

static void refuse_tunnel(struct peer *p, int fd, SSL *ssl)
{
	static const char answer[] = "HTTP/1.1 407 Who?\r\n\r\n";

	p->seen_len = (size_t)peer_read(fd, ssl, p->seen, sizeof(p->seen));
	peer_write(fd, ssl, answer, sizeof(answer) - 1);
}

static void hang_up_half_way(struct peer *p, int fd, SSL *ssl)
{
	p->seen_len = (size_t)peer_read(fd, ssl, p->seen, sizeof(p->seen));
	peer_write(fd, ssl, "HTTP/1.1 2", 10);
}

static void expect_proxy_error(struct bench *b,
			       void (*serve)(struct peer *, int, SSL *),
			       const char *expected)
{
	struct peer peer;
	struct ts_link_config config = plain_to(80);

	peer_start(&peer, NULL, serve);
	set_proxy(&peer, "");
	config.host = "control.invalid";
	b->closed = 0;
	open_link(b, &config);
	bench_run(b, 2000);
	unsetenv("HTTP_PROXY");
	assert_int_equal(b->closed, 1);
	assert_string_equal(b->error, expected);
	peer_join(&peer);
}

static void a_proxys_refusal_is_told(void **state)
{
	expect_proxy_error(*state, refuse_tunnel,
			   "control.invalid:80: proxy: it answers CONNECT with "
			   "status 407 (name and password needed)");
	expect_proxy_error(*state, hang_up_half_way,
			   "control.invalid:80: proxy: connection reset by "
			   "peer");
}

#define CASE(fn)                                                               \
	cmocka_unit_test_setup_teardown(fn, bench_set_up, bench_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(bytes_go_both_ways_and_eof_closes),
		CASE(writes_before_connected_wait_in_the_queue),
		CASE(a_refused_port_is_told_in_one_line),
		CASE(given_addresses_replace_the_name),
		CASE(two_switched_off_families_fail),
		CASE(hosts_that_are_no_names_fail),
		CASE(localhost_is_resolved),
		CASE(closing_inside_connected_is_the_end),
		CASE(closing_inside_input_is_the_end),
		CASE(closing_before_the_loop_runs_says_nothing),
		CASE(close_still_sends_what_is_queued),
		CASE(a_full_queue_closes_the_link),
		CASE(with_drop_when_full_the_link_stays),
		CASE(the_next_candidate_starts_when_all_others_failed),
		CASE(the_first_to_get_through_wins),
		CASE(a_race_that_all_lose_tells_the_last_reason),
		CASE(a_race_of_nobody_fails_later),
		CASE(a_proxy_is_asked_by_connect),
		CASE(a_proxys_refusal_is_told),
	};

	unsetenv("ALL_PROXY");
	unsetenv("all_proxy");
	alarm(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
