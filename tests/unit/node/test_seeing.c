/* SPDX-License-Identifier: BSD-3-Clause
 * test_seeing.c - captures, metrics and health of a node on the simulated net
 */
#include "unit/node/node_sim.h"

#include "core/base/wire.h"
#include "core/model/json_fields.h"
#include "core/node/capture.h"
#include "core/node/node_internal.h"

enum { NG_SECTION = 0x0a0d0d0a, NG_INTERFACE = 1, NG_PACKET = 6,
       OPT_COMMENT = 1, EPB_FLAGS = 2, EPB_DROPCOUNT = 4 };

/* -- a capture, read again ------------------------------------------------ */
struct seen {
	unsigned wakes;
	size_t packets, in, out;
	uint64_t dropped;
	bool has_disco;
	size_t pings, pongs;
	char first_out[256], first_in[256], first_disco[256];
	size_t payload; /* bytes of all packets */
};

static uint16_t read_le16(struct ts_reader *r)
{
	uint8_t low = ts_read_u8(r);

	return (uint16_t)(low | ts_read_u8(r) << 8);
}

static void on_wake(void *ctx)
{
	struct seen *seen = ctx;

	seen->wakes++;
}

static size_t read_all(struct ts_capture_sink *sink, uint8_t **out)
{
	size_t len = 0, n;

	*out = malloc(16 * 1024 * 1024);
	while ((n = ts_capture_read(sink, *out + len, 1000)) > 0)
		len += n;
	return len;
}

/* As upstream's dissector reads it, behind the path. */
static void check_disco(struct ts_reader *r, struct seen *seen)
{
	uint8_t flags, type;
	bool has_key = false;
	uint16_t port, len;
	uint32_t ip;

	assert_int_equal(ts_read_u8(r), 0); /* no NAT */
	assert_int_equal(ts_read_u8(r), 0);
	flags = ts_read_u8(r);
	for (size_t i = 0; i < TS_KEY_LEN; i++)
		has_key |= ts_read_u8(r) != 0;
	port = read_le16(r);
	assert_int_equal(read_le16(r), 4);
	ip = ts_read_be32(r);
	assert_int_equal(has_key, flags & 1);
	assert_int_equal(ip == 0x7f030328, flags & 1); /* 127.3.3.40 */
	assert_true(port > 0);
	len = read_le16(r);
	assert_int_equal(len, r->left);
	type = ts_read_u8(r);
	assert_int_equal(ts_read_u8(r), 0); /* version */
	seen->pings += type == 1;
	seen->pongs += type == 2;
}

static void check_packet(struct ts_reader *body, struct seen *seen)
{
	struct ts_reader data;
	uint32_t len, flags = 0, interface = ts_read_le32(body);
	char comment[256] = "";

	ts_read_skip(body, 8); /* time */
	len = ts_read_le32(body);
	assert_int_equal(ts_read_le32(body), len);
	data = ts_read_block(body, len);
	if (interface == 1) {
		assert_int_equal(read_le16(&data), 254);
		check_disco(&data, seen);
	} else {
		assert_int_equal(ts_read_u8(&data) >> 4, 4); /* IPv4 */
	}
	ts_read_skip(body, -len & 3);
	while (body->left > 0) {
		uint16_t code = read_le16(body), n = read_le16(body);
		struct ts_reader value = ts_read_block(body, n);

		ts_read_skip(body, -(size_t)n & 3);
		if (code == OPT_COMMENT)
			ts_read_bytes(&value, comment, n);
		else if (code == EPB_FLAGS)
			flags = ts_read_le32(&value);
		else if (code == EPB_DROPCOUNT)
			seen->dropped += ts_read_le64(&value);
		if (code == 0)
			break;
	}
	assert_false(body->bad);
	if (interface == 1) {
		assert_int_equal(flags, 1);
		if (!*seen->first_disco)
			strcpy(seen->first_disco, comment);
		return;
	}
	seen->packets++;
	seen->payload += len;
	seen->in += flags == 1;
	seen->out += flags == 2;
	if (flags == 1 && !*seen->first_in)
		strcpy(seen->first_in, comment);
	if (flags == 2 && !*seen->first_out)
		strcpy(seen->first_out, comment);
}

static void walk(const uint8_t *data, size_t len, struct seen *seen)
{
	struct ts_reader r = ts_reader_init(data, len);
	size_t blocks = 0;

	for (; r.left > 0; blocks++) {
		uint32_t type = ts_read_le32(&r), total = ts_read_le32(&r);
		struct ts_reader body;

		assert_true(total >= 12 && total % 4 == 0);
		body = ts_read_block(&r, total - 12);
		assert_int_equal(ts_read_le32(&r), total);
		assert_false(r.bad);
		assert_int_equal(type, blocks == 0   ? NG_SECTION
				       : blocks == 1 ? NG_INTERFACE
				       : blocks == 2 && seen->has_disco
					       ? NG_INTERFACE
					       : NG_PACKET);
		if (type == NG_INTERFACE)
			assert_int_equal(read_le16(&body),
					 blocks == 1 ? 101 : 147);
		if (type == NG_PACKET)
			check_packet(&body, seen);
	}
}

static struct ts_capture_sink *open_capture(struct sim *sim,
					    enum ts_capture_format format,
					    struct seen *seen)
{
	struct ts_capture_sink *sink = NULL;

	seen->has_disco = format == TS_CAPTURE_PCAPNG_DISCO;
	assert_int_equal(ts_node_capture_open(sim->nodes[0].node, format,
					      on_wake, seen, &sink), 0);
	return sink;
}

static void a_capture_names_peer_direction_and_way(void **state)
{
	struct sim *sim = sim_up(2, NULL);
	struct seen seen = {0};
	struct ts_capture_sink *sink =
		open_capture(sim, TS_CAPTURE_PCAPNG_DISCO, &seen);
	uint8_t *data;
	size_t len;

	(void)state;
	sim_dial(sim, 0, 1, 5000);
	sim_run(sim, 3000);
	assert_true(seen.wakes > 0);
	len = read_all(sink, &data);
	walk(data, len, &seen);
	free(data);
	assert_true(seen.in > 2 && seen.out > 4);
	assert_int_equal(seen.in + seen.out, seen.packets);
	assert_true(seen.payload > 5000);
	assert_int_equal(seen.dropped, 0);
	assert_memory_equal(seen.first_out, "to n1.tail.example. via ", 24);
	assert_memory_equal(seen.first_in, "from n1.tail.example. via ", 26);
	assert_true(seen.pings > 0 && seen.pongs > 0);
	assert_memory_equal(seen.first_disco, "disco ", 6);
	assert_non_null(strstr(seen.first_disco,
			       " from n1.tail.example. via "));
	assert_false(ts_capture_has_ended(sink));
	ts_capture_close(sink);
	sim_dial(sim, 0, 1, 100); /* nobody listens any more */
	sim_run(sim, 1000);
	sim_free(sim);
}

static void through_the_relay_the_way_is_derp(void **state)
{
	struct sim *sim = sim_up(2, &(struct sim_options){.derp_only = true});
	struct seen seen = {0};
	struct ts_capture_sink *sink =
		open_capture(sim, TS_CAPTURE_PCAPNG, &seen);
	uint8_t *data;
	size_t len;

	(void)state;
	sim_dial(sim, 0, 1, 100);
	sim_run(sim, 3000);
	len = read_all(sink, &data);
	walk(data, len, &seen);
	free(data);
	assert_string_equal(seen.first_out,
			    "to n1.tail.example. via DERP(sim)");
	assert_string_equal(seen.first_in,
			    "from n1.tail.example. via DERP(sim)");
	ts_capture_close(sink);
	sim_free(sim);
}

static void upstreams_format_has_its_own_header(void **state)
{
	struct sim *sim = sim_up(2, NULL);
	struct seen seen = {0};
	struct ts_capture_sink *sink =
		open_capture(sim, TS_CAPTURE_PCAP, &seen);
	bool has_path[4] = {false};
	struct ts_reader r;
	uint8_t *data;
	size_t len;

	(void)state;
	sim_dial(sim, 0, 1, 5000);
	sim_ping(sim, 0, sim_ip(1), TS_PING_TSMP);
	sim_run(sim, 3000);
	len = read_all(sink, &data);
	r = ts_reader_init(data, len);
	assert_int_equal(ts_read_le32(&r), 0xa1b2c3d4);
	ts_read_skip(&r, 16);
	assert_int_equal(ts_read_le32(&r), 147);
	while (r.left > 0) {
		struct ts_reader record;
		uint32_t n;
		uint16_t path;

		ts_read_skip(&r, 8);
		n = ts_read_le32(&r);
		assert_int_equal(ts_read_le32(&r), n);
		record = ts_read_block(&r, n);
		path = read_le16(&record);
		if (path == TS_CAPTURE_DISCO) {
			check_disco(&record, &seen);
			assert_false(record.bad);
			continue;
		}
		assert_true(path < 4);
		has_path[path] = true;
		assert_int_equal(ts_read_u8(&record), 0); /* no NAT */
		assert_int_equal(ts_read_u8(&record), 0);
		assert_int_equal(ts_read_u8(&record) >> 4, 4);
		assert_false(record.bad);
	}
	assert_true(has_path[TS_CAPTURE_FROM_LOCAL]);
	assert_true(has_path[TS_CAPTURE_FROM_PEER]);
	assert_true(has_path[TS_CAPTURE_SYNTHESIZED_TO_PEER]);
	assert_true(seen.pings > 0 && seen.pongs > 0);
	free(data);
	ts_capture_close(sink);
	sim_free(sim);
}

static void a_slow_reader_loses_packets_and_is_told(void **state)
{
	struct sim *sim = sim_up(2, NULL);
	struct seen seen = {0};
	struct ts_capture_sink *sink =
		open_capture(sim, TS_CAPTURE_PCAPNG, &seen);
	struct sim_conn *conn = sim_dial(sim, 0, 1, 10 * 1024 * 1024);
	uint8_t *data;
	size_t len;

	(void)state;
	sim_run(sim, 60000);
	assert_int_equal(sim->nodes[1].conns[0].read, conn->to_write);
	len = read_all(sink, &data);
	assert_true(len <= 8 * 1024 * 1024);
	walk(data, len, &seen);
	free(data);
	sim_ping(sim, 0, sim_ip(1), TS_PING_ICMP);
	sim_run(sim, 1000);
	len = read_all(sink, &data);
	{
		struct ts_reader r = ts_reader_init(data, len);
		struct ts_reader body;
		uint32_t total;

		ts_read_skip(&r, 4);
		total = ts_read_le32(&r);
		body = ts_read_block(&r, total - 12);
		check_packet(&body, &seen);
	}
	free(data);
	assert_true(seen.dropped > 100);
	ts_capture_close(sink);
	sim_free(sim);
}

static void captures_are_few_and_end_with_the_node(void **state)
{
	struct sim *sim = sim_up(1, NULL);
	struct seen seen = {0};
	struct ts_capture_sink *sinks[4], *extra;
	uint8_t *data;

	(void)state;
	for (size_t i = 0; i < 4; i++)
		sinks[i] = open_capture(sim, TS_CAPTURE_PCAPNG, &seen);
	assert_int_equal(ts_node_capture_open(sim->nodes[0].node,
					      TS_CAPTURE_PCAP, on_wake, &seen,
					      &extra), -EAGAIN);
	ts_capture_close(sinks[2]);
	sinks[2] = open_capture(sim, TS_CAPTURE_PCAP, &seen);
	ts_node_free(sim->nodes[0].node);
	sim->nodes[0].node = NULL;
	assert_int_equal(seen.wakes, 4);
	for (size_t i = 0; i < 4; i++) {
		assert_false(ts_capture_has_ended(sinks[i]));
		assert_true(read_all(sinks[i], &data) > 0);
		free(data);
		assert_true(ts_capture_has_ended(sinks[i]));
		ts_capture_close(sinks[i]);
	}
	sim_free(sim);
}

/* -- metrics -------------------------------------------------------------- */
static double metric(const char *text, const char *name)
{
	char line[160];
	const char *at;

	snprintf(line, sizeof(line), "\n%s ", name);
	at = strstr(text, line);
	if (!at)
		fail_msg("no %s in %s", name, text);
	return strtod(at + strlen(line), NULL);
}

#define IN(what, label) "tailscaled_inbound_" what "_total{" label "}"
#define OUT(what, label) "tailscaled_outbound_" what "_total{" label "}"

static void traffic_is_counted_by_its_way(void **state)
{
	struct sim *sim = sim_up(2, NULL);
	struct ts_node *node = sim->nodes[0].node;
	char *text;

	(void)state;
	sim_dial(sim, 0, 1, 50000);
	sim_run(sim, 5000);
	text = ts_node_user_metrics(node);
	assert_true(metric(text, OUT("bytes", "path=\"direct_ipv4\"")) >
		    40000);
	assert_true(metric(text, OUT("packets", "path=\"direct_ipv4\"")) > 30);
	assert_true(metric(text, IN("bytes", "path=\"direct_ipv4\"")) > 100);
	assert_true(metric(text, IN("packets", "path=\"direct_ipv4\"")) > 2);
	assert_true(metric(text, OUT("bytes", "path=\"derp\"")) > 0);
	assert_true(metric(text, IN("bytes", "path=\"peer_relay_ipv6\"")) ==
		    0);
	assert_true(metric(text, "tailscaled_home_derp_region_id") ==
		    SIM_REGION);
	assert_true(metric(text, "tailscaled_approved_routes") == 0);
	assert_non_null(strstr(text, "# TYPE tailscaled_inbound_bytes_total "
				     "counter\n# HELP tailscaled_inbound_"
				     "bytes_total Counts the number of bytes "
				     "received from other peers\n"));
	free(text);
	text = ts_node_client_metrics(node);
	assert_true(metric(text, "magicsock_send_udp") > 30);
	assert_true(metric(text, "magicsock_netmap_num_peers") == 1);
	free(text);
	sim_free(sim);
}

static void what_is_dropped_is_counted_by_reason(void **state)
{
	struct sim *sim = sim_up(2, NULL);
	struct ts_node *node = sim->nodes[0].node;
	struct ts_packet_header h = {.proto = 17};
	char *text;

	(void)state;
	sim_map_text(&sim->nodes[0], "{\"PacketFilter\":[]}");
	sim_dial(sim, 1, 0, 10);
	assert_int_equal(ts_ip_parse("224.0.0.1", &h.dst), 0);
	node_count_drop(node->dropped_out, &h);
	assert_int_equal(ts_ip_parse("fe80::1", &h.dst), 0);
	node_count_drop(node->dropped_out, &h);
	sim_run(sim, 500);
	text = ts_node_user_metrics(node);
	assert_true(metric(text, IN("dropped_packets", "reason=\"acl\"")) >=
		    1);
	assert_true(metric(text, OUT("dropped_packets",
				     "reason=\"multicast\"")) == 1);
	assert_true(metric(text, OUT("dropped_packets",
				     "reason=\"link_local_unicast\"")) == 1);
	assert_true(metric(text, OUT("dropped_packets", "reason=\"acl\"")) ==
		    0);
	free(text);
	sim_free(sim);
}

static void routes_are_counted_without_exit_and_own(void **state)
{
	struct sim *sim = sim_up(1, NULL);
	char *text;

	(void)state;
	sim_set_extra(sim, 0, json_pack("{s:[sssss]}", "AllowedIPs",
					"100.64.0.1/32",
					"fd7a:115c:a1e0::1/128", "0.0.0.0/0",
					"10.0.0.0/8", "192.0.2.0/24"));
	sim_tell(sim, 0, 0);
	text = ts_node_user_metrics(sim->nodes[0].node);
	assert_true(metric(text, "tailscaled_approved_routes") == 2);
	free(text);
	sim_free(sim);
}

/* -- health --------------------------------------------------------------- */
static bool says(struct sim *sim, const char *words)
{
	json_t *texts = ts_node_health_texts(sim->nodes[0].node);
	bool found = false;
	size_t i;
	json_t *item;

	json_array_foreach(texts, i, item)
		found |= strstr(json_string_value(item), words) != NULL;
	json_decref(texts);
	return found;
}

/* The member of a warning, "" when there is none. */
static char *warning(struct sim *sim, const char *code, const char *member)
{
	json_t *all = ts_node_health_warnings(sim->nodes[0].node);
	const char *text = json_string_value(
		json_object_get(json_object_get(all, code), member));
	char *copy = strdup(text ? text : "");

	json_decref(all);
	return copy;
}

static void check_warning(struct sim *sim, const char *code,
			  const char *severity)
{
	char *found = warning(sim, code, "Severity");

	assert_string_equal(found, severity);
	free(found);
}

static void set_control(struct sim *sim, enum ts_control_state state,
			const char *error)
{
	struct ts_control *c = sim->nodes[0].control;

	c->state = state;
	c->ops.state_changed(c->ctx, state, error);
}

static void a_healthy_node_has_nothing_to_say(void **state)
{
	struct sim *sim = sim_up(1, NULL);
	json_t *texts;

	(void)state;
	sim_run(sim, 30000);
	texts = ts_node_health_texts(sim->nodes[0].node);
	assert_int_equal(json_array_size(texts), 0);
	json_decref(texts);
	sim_free(sim);
}

static void a_lost_map_is_told_after_a_while(void **state)
{
	struct sim *sim = sim_up(1, NULL);

	(void)state;
	set_control(sim, TS_CONTROL_CONNECTING, NULL);
	sim_run(sim, 50000);
	check_warning(sim, "not-in-map-poll", "");
	sim_run(sim, 20000);
	check_warning(sim, "not-in-map-poll", "medium");
	assert_true(says(sim, "No connection to the control server for"));
	set_control(sim, TS_CONTROL_CONNECTING, "dial: refused");
	assert_true(says(sim, "dial: refused"));
	set_control(sim, TS_CONTROL_RUNNING, NULL);
	check_warning(sim, "not-in-map-poll", "");
	sim_free(sim);
}

static void login_and_approval_are_told(void **state)
{
	struct sim *sim = sim_up(1, NULL);

	(void)state;
	set_control(sim, TS_CONTROL_NEEDS_LOGIN, "invalid key");
	check_warning(sim, "login-state", "medium");
	assert_true(says(sim, "invalid key"));
	set_control(sim, TS_CONTROL_RUNNING, NULL);
	sim_set_extra(sim, 0, json_pack("{s:b}", "MachineAuthorized", 0));
	sim_tell(sim, 0, 0);
	check_warning(sim, "needs-machine-auth", "medium");
	sim_free(sim);
}

static void a_key_that_runs_out_soon_is_told(void **state)
{
	struct sim *sim = sim_up(1, NULL);
	char text[TS_TIME_TEXT_CAP];

	(void)state;
	sim_set_extra(sim, 0, json_pack("{s:s}", "KeyExpiry",
					ts_time_format(sim->wall_s + 3600,
						       text)));
	sim_tell(sim, 0, 0);
	check_warning(sim, "key-expires-soon", "medium");
	sim_set_extra(sim, 0, json_pack("{s:s}", "KeyExpiry",
					ts_time_format(sim->wall_s + 864000,
						       text)));
	sim_tell(sim, 0, 0);
	check_warning(sim, "key-expires-soon", "");
	sim_free(sim);
}

static void a_wrong_clock_is_told(void **state)
{
	struct sim *sim = sim_up(1, NULL);
	char map[96], text[TS_TIME_TEXT_CAP];

	(void)state;
	snprintf(map, sizeof(map), "{\"ControlTime\":\"%s\"}",
		 ts_time_format(sim->wall_s + 1000, text));
	sim_map_text(&sim->nodes[0], map);
	check_warning(sim, "clock-skew", "medium");
	assert_true(says(sim, "behind the control server's"));
	sim_free(sim);
}

static void a_missing_relay_is_told_after_a_while(void **state)
{
	struct sim *sim = sim_up(1, NULL);
	struct sim_node *n = &sim->nodes[0];

	(void)state;
	sim->derp_down = true;
	ts_node_derp_closed(n->node, SIM_REGION, "cut", sim->now_ms);
	sim_run(sim, 1000);
	check_warning(sim, "no-derp-connection", "");
	sim_run(sim, 60000);
	check_warning(sim, "no-derp-connection", "medium");
	sim_free(sim);
}

static void names_that_nobody_answers_are_told(void **state)
{
	struct sim *sim = sim_up(1, NULL);
	struct ts_node *node = sim->nodes[0].node;

	(void)state;
	ts_node_dns_result(node, false);
	ts_node_dns_result(node, false);
	check_warning(sim, "dns-forward-failing", "");
	ts_node_dns_result(node, false);
	check_warning(sim, "dns-forward-failing", "medium");
	ts_node_dns_result(node, true);
	check_warning(sim, "dns-forward-failing", "");
	sim_free(sim);
}

static void the_servers_messages_are_shown(void **state)
{
	struct sim *sim = sim_up(1, NULL);
	char *title;

	(void)state;
	sim_map_text(&sim->nodes[0], "{\"Health\":[\"all is lost\"]}");
	assert_true(says(sim, "all is lost"));
	sim_map_text(&sim->nodes[0],
		     "{\"DisplayMessages\":{\"pay\":{\"Title\":\"Bill\","
		     "\"Text\":\"Please pay\",\"Severity\":\"high\","
		     "\"ImpactsConnectivity\":true,\"PrimaryAction\":{"
		     "\"URL\":\"https://pay\",\"Label\":\"Pay\"}},"
		     "\"odd\":{\"Title\":7,\"Severity\":\"fatal\"}}}");
	assert_false(says(sim, "all is lost"));
	assert_true(says(sim, "Bill: Please pay Pay: https://pay"));
	check_warning(sim, "control-health.pay", "high");
	check_warning(sim, "control-health.odd", "medium");
	title = warning(sim, "control-health.pay", "Title");
	assert_string_equal(title, "Bill");
	free(title);
	sim_map_text(&sim->nodes[0], "{\"DisplayMessages\":{\"*\":null}}");
	check_warning(sim, "control-health.pay", "");
	sim_free(sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_capture_names_peer_direction_and_way),
		cmocka_unit_test(through_the_relay_the_way_is_derp),
		cmocka_unit_test(upstreams_format_has_its_own_header),
		cmocka_unit_test(a_slow_reader_loses_packets_and_is_told),
		cmocka_unit_test(captures_are_few_and_end_with_the_node),
		cmocka_unit_test(traffic_is_counted_by_its_way),
		cmocka_unit_test(what_is_dropped_is_counted_by_reason),
		cmocka_unit_test(routes_are_counted_without_exit_and_own),
		cmocka_unit_test(a_healthy_node_has_nothing_to_say),
		cmocka_unit_test(a_lost_map_is_told_after_a_while),
		cmocka_unit_test(login_and_approval_are_told),
		cmocka_unit_test(a_key_that_runs_out_soon_is_told),
		cmocka_unit_test(a_wrong_clock_is_told),
		cmocka_unit_test(a_missing_relay_is_told_after_a_while),
		cmocka_unit_test(names_that_nobody_answers_are_told),
		cmocka_unit_test(the_servers_messages_are_shown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
