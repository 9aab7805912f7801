/* SPDX-License-Identifier: BSD-3-Clause
 * test_broker_wire.c - broker messages go through bytes and back
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "core/broker/broker_wire.h"

static struct ts_addr addr(const char *text)
{
	struct ts_addr out;

	assert_int_equal(ts_addr_parse(text, &out), 0);
	return out;
}

static struct ts_broker_request some_request(void)
{
	struct ts_broker_request req = {
		.type = TS_BROKER_CONNECT,
		.proto = 6,
		.flags = TS_BROKER_NONBLOCK | TS_BROKER_WANT_V6,
		.native_local = addr("127.1.2.3:4567"),
		.native_remote = addr("127.9.8.7:33333"),
		.tailnet = addr("[fd7a:115c:a1e0::1234]:443"),
		.name = "host.tail1234.ts.net",
	};

	memset(req.token, 0xa5, sizeof(req.token));
	return req;
}

static struct ts_broker_reply some_reply(void)
{
	struct ts_broker_reply rep = {
		.type = TS_BROKER_RESOLVE,
		.error = ENETUNREACH,
		.native = addr("127.4.4.4:80"),
		.tailnet = addr("100.64.0.7:0"),
		.answer = TS_ANSWER_FOUND,
		.addr_count = TS_BROKER_ADDRS_MAX,
		.name = "a.b.ts.net",
	};

	for (size_t i = 0; i < TS_BROKER_ADDRS_MAX; i++)
		memset(rep.addrs[i].bytes, (int)i + 1, TS_IP_LEN);
	return rep;
}

static void request_survives_the_way(void **state)
{
	struct ts_broker_request in = some_request(), out = {0};
	uint8_t buf[TS_BROKER_MESSAGE_MAX];
	int len = ts_broker_write_request(&in, buf, sizeof(buf));

	(void)state;
	assert_true(len > 0);
	assert_int_equal(ts_broker_read_request(buf, (size_t)len, &out), 0);
	assert_int_equal(out.type, in.type);
	assert_int_equal(out.proto, in.proto);
	assert_int_equal(out.flags, in.flags);
	assert_memory_equal(out.token, in.token, sizeof(in.token));
	assert_true(ts_addr_equal(&out.native_local, &in.native_local));
	assert_true(ts_addr_equal(&out.native_remote, &in.native_remote));
	assert_true(ts_addr_equal(&out.tailnet, &in.tailnet));
	assert_string_equal(out.name, in.name);
}

static void reply_survives_the_way(void **state)
{
	struct ts_broker_reply in = some_reply(), out = {0};
	uint8_t buf[TS_BROKER_MESSAGE_MAX];
	int len = ts_broker_write_reply(&in, buf, sizeof(buf));

	(void)state;
	assert_true(len > 0);
	assert_int_equal(ts_broker_read_reply(buf, (size_t)len, &out), 0);
	assert_int_equal(out.type, in.type);
	assert_int_equal(out.error, in.error);
	assert_true(ts_addr_equal(&out.native, &in.native));
	assert_true(ts_addr_equal(&out.tailnet, &in.tailnet));
	assert_int_equal(out.answer, in.answer);
	assert_int_equal(out.addr_count, in.addr_count);
	assert_memory_equal(out.addrs, in.addrs, sizeof(in.addrs));
	assert_string_equal(out.name, in.name);
}

static void tunnel_info_survives_the_way(void **state)
{
	struct ts_broker_reply in = {.type = TS_BROKER_INFO}, out = {0};
	struct ts_broker_reply other = {.type = TS_BROKER_LISTEN};
	uint8_t buf[TS_BROKER_MESSAGE_MAX];
	size_t len, other_len;

	(void)state;
	in.tunnel = (struct ts_tunnel_info){
		.state = 1, .is_recovering = 1, .retransmits = 2, .probes = 3,
		.backoff = 4, .has_sack = 1, .has_scale = 1, .send_scale = 7,
		.receive_scale = 8, .mtu = 1280, .send_mss = 1240,
		.advertised_mss = 1220, .rto_us = 200000, .rtt_us = 12345,
		.rtt_var_us = 678, .min_rtt_us = 9000, .cwnd = 10,
		.ssthresh = 20, .unacked = 30, .lost = 40,
		.total_retransmits = 50, .unsent_bytes = 60,
		.send_window = 70, .receive_window = 80,
		.bytes_acked = 1ull << 40, .bytes_received = 1ull << 41};
	len = (size_t)ts_broker_write_reply(&in, buf, sizeof(buf));
	assert_int_equal(ts_broker_read_reply(buf, len, &out), 0);
	assert_memory_equal(&out.tunnel, &in.tunnel, sizeof(in.tunnel));
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(ts_broker_read_reply(buf, cut, &out),
				 -EBADMSG);
	assert_int_equal(ts_broker_read_reply(buf, len + 1, &out), -EBADMSG);
	other_len = (size_t)ts_broker_write_reply(&other, buf, sizeof(buf));
	assert_int_equal(len - other_len, 100);
}

static void queries_and_answers_are_blocks(void **state)
{
	static uint8_t data[TS_BROKER_ANSWER_MAX + 1],
		buf[sizeof(data) + TS_BROKER_MESSAGE_MAX];
	struct ts_broker_request req = {.type = TS_BROKER_DNS, .data = data,
					.data_len = TS_BROKER_QUERY_MAX};
	struct ts_broker_reply rep = {.type = TS_BROKER_DNS, .data = data,
				      .data_len = TS_BROKER_ANSWER_MAX};
	struct ts_broker_request req_out;
	struct ts_broker_reply rep_out;
	int len;

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7);
	len = ts_broker_write_request(&req, buf, TS_BROKER_MESSAGE_MAX);
	assert_int_equal(ts_broker_read_request(buf, (size_t)len, &req_out), 0);
	assert_int_equal(req_out.data_len, req.data_len);
	assert_memory_equal(req_out.data, data, req.data_len);
	for (int cut = 0; cut < len; cut++)
		assert_int_equal(ts_broker_read_request(buf, (size_t)cut,
							&req_out), -EBADMSG);
	len = ts_broker_write_reply(&rep, buf, sizeof(buf));
	assert_int_equal(ts_broker_read_reply(buf, (size_t)len, &rep_out), 0);
	assert_int_equal(rep_out.data_len, rep.data_len);
	assert_memory_equal(rep_out.data, data, rep.data_len);
	for (int cut = 0; cut < len; cut++)
		assert_int_equal(ts_broker_read_reply(buf, (size_t)cut,
						      &rep_out), -EBADMSG);
	/* The head alone, as the shim receives it. */
	assert_int_equal(ts_broker_write_reply_head(&rep, buf, sizeof(buf)),
			 TS_BROKER_DNS_HEAD_LEN);
	assert_int_equal(ts_broker_read_reply_head(buf, TS_BROKER_DNS_HEAD_LEN,
						   &rep_out), 0);
	assert_int_equal(rep_out.data_len, rep.data_len);
	assert_null(rep_out.data);
	req.data_len++;
	rep.data_len++;
	assert_int_equal(ts_broker_write_request(&req, buf, sizeof(buf)),
			 -ENOBUFS);
	assert_int_equal(ts_broker_write_reply(&rep, buf, sizeof(buf)),
			 -ENOBUFS);
}

static void request_layout_is_fixed(void **state)
{
	struct ts_broker_request req = {.type = TS_BROKER_ATTACH};
	uint8_t buf[TS_BROKER_MESSAGE_MAX];

	(void)state;
	/* 1 + 1 + 16 + 1 + 1 + 3 * 18 + 2 */
	assert_int_equal(ts_broker_write_request(&req, buf, sizeof(buf)), 76);
	assert_int_equal(buf[0], TS_BROKER_ATTACH);
	assert_int_equal(buf[1], TS_BROKER_VERSION);
}

static void largest_messages_fit_one_packet(void **state)
{
	struct ts_broker_request req = some_request();
	struct ts_broker_reply rep = some_reply();
	uint8_t buf[TS_BROKER_MESSAGE_MAX];

	(void)state;
	memset(req.name, 'x', TS_BROKER_NAME_CAP - 1);
	memset(rep.name, 'x', TS_BROKER_NAME_CAP - 1);
	assert_true(ts_broker_write_request(&req, buf, sizeof(buf)) > 0);
	assert_true(ts_broker_write_reply(&rep, buf, sizeof(buf)) > 0);
}

static void cut_messages_are_badmsg(void **state)
{
	struct ts_broker_request req = some_request();
	struct ts_broker_reply rep = some_reply();
	uint8_t buf[TS_BROKER_MESSAGE_MAX];
	size_t len = (size_t)ts_broker_write_request(&req, buf, sizeof(buf));

	(void)state;
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(ts_broker_read_request(buf, cut, &req),
				 -EBADMSG);
	assert_int_equal(ts_broker_read_request(buf, len + 1, &req), -EBADMSG);
	len = (size_t)ts_broker_write_reply(&rep, buf, sizeof(buf));
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(ts_broker_read_reply(buf, cut, &rep),
				 -EBADMSG);
	assert_int_equal(ts_broker_read_reply(buf, len + 1, &rep), -EBADMSG);
}

static void small_buffers_are_nobufs(void **state)
{
	struct ts_broker_request req = some_request();
	struct ts_broker_reply rep = some_reply();
	uint8_t buf[TS_BROKER_MESSAGE_MAX];
	size_t len = (size_t)ts_broker_write_request(&req, buf, sizeof(buf));

	(void)state;
	for (size_t cap = 0; cap < len; cap++)
		assert_int_equal(ts_broker_write_request(&req, buf, cap),
				 -ENOBUFS);
	len = (size_t)ts_broker_write_reply(&rep, buf, sizeof(buf));
	for (size_t cap = 0; cap < len; cap++)
		assert_int_equal(ts_broker_write_reply(&rep, buf, cap),
				 -ENOBUFS);
}

static void read_request_with(size_t at, uint8_t value, int expected)
{
	struct ts_broker_request req = some_request(), out = {.type = 99};
	uint8_t buf[TS_BROKER_MESSAGE_MAX];
	int len = ts_broker_write_request(&req, buf, sizeof(buf));

	buf[at] = value;
	assert_int_equal(ts_broker_read_request(buf, (size_t)len, &out),
			 expected);
	if (expected)
		assert_int_equal(out.type, 99); /* nothing was committed */
}

static void hostile_requests_are_badmsg(void **state)
{
	(void)state;
	read_request_with(0, 0, -EBADMSG);
	read_request_with(0, TS_BROKER_TYPE_LAST + 1, -EBADMSG);
	read_request_with(1, TS_BROKER_VERSION + 1, -EBADMSG);
	read_request_with(74, 0xff, -EBADMSG); /* name length */
	read_request_with(75, 3, -EBADMSG);
	read_request_with(78, 0, -EBADMSG); /* NUL inside the name */
	read_request_with(78, 'x', 0);
}

static void read_reply_with(size_t at, uint8_t value)
{
	struct ts_broker_reply rep = some_reply(), out;
	uint8_t buf[TS_BROKER_MESSAGE_MAX];
	int len = ts_broker_write_reply(&rep, buf, sizeof(buf));

	buf[at] = value;
	assert_int_equal(ts_broker_read_reply(buf, (size_t)len, &out),
			 -EBADMSG);
}

static void hostile_replies_are_badmsg(void **state)
{
	(void)state;
	read_reply_with(0, 0);
	read_reply_with(1, 0x80); /* negative error */
	read_reply_with(41, TS_ANSWER_NXDOMAIN + 1);
	read_reply_with(42, TS_BROKER_ADDRS_MAX + 1);
	read_reply_with(42, TS_BROKER_ADDRS_MAX - 1);
}

static void unterminated_names_are_not_written(void **state)
{
	struct ts_broker_request req = some_request();
	struct ts_broker_reply rep = some_reply();
	uint8_t buf[2 * TS_BROKER_MESSAGE_MAX];

	(void)state;
	memset(req.name, 'x', sizeof(req.name));
	memset(rep.name, 'x', sizeof(rep.name));
	assert_int_equal(ts_broker_write_request(&req, buf, sizeof(buf)),
			 -ENOBUFS);
	assert_int_equal(ts_broker_write_reply(&rep, buf, sizeof(buf)),
			 -ENOBUFS);
	rep = some_reply();
	rep.addr_count = TS_BROKER_ADDRS_MAX + 1;
	assert_int_equal(ts_broker_write_reply(&rep, buf, sizeof(buf)),
			 -ENOBUFS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(request_survives_the_way),
		cmocka_unit_test(reply_survives_the_way),
		cmocka_unit_test(tunnel_info_survives_the_way),
		cmocka_unit_test(queries_and_answers_are_blocks),
		cmocka_unit_test(request_layout_is_fixed),
		cmocka_unit_test(largest_messages_fit_one_packet),
		cmocka_unit_test(cut_messages_are_badmsg),
		cmocka_unit_test(small_buffers_are_nobufs),
		cmocka_unit_test(hostile_requests_are_badmsg),
		cmocka_unit_test(hostile_replies_are_badmsg),
		cmocka_unit_test(unterminated_names_are_not_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
