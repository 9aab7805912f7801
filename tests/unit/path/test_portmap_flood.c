/* SPDX-License-Identifier: BSD-3-Clause
 * test_portmap_flood.c - somebody forges a gateway's datagrams by the thousand
 */
#include "tests/unit/path/portmap_bench.h"

#include "core/base/log.h"

enum { STEP_MS = 4, MINUTES = 10, MINUTE_MS = 60000 };

struct lines {
	unsigned of[PORTMAP_KINDS], others;
};

static void take_line(void *ctx, enum ts_log_level level, const char *line)
{
	struct lines *lines = ctx;

	(void)level;
	for (int i = 0; i < PORTMAP_KINDS; i++) {
		char start[64];

		snprintf(start, sizeof(start),
			 "portmap: flood of answers by %s:",
			 ts_portmap_kind_name((enum ts_portmap_kind)i));
		if (!strncmp(line, start, strlen(start))) {
			lines->of[i]++;
			return;
		}
	}
	lines->others++;
}

static void listen_to(struct lines *lines)
{
	*lines = (struct lines){0};
	ts_log_set_sink(take_line, lines);
	ts_log_set_level(TS_LOG_INFO);
}

static void listen_no_more(void)
{
	ts_log_set_level(TS_LOG_OFF);
	ts_log_set_sink(NULL, NULL);
}

/* -- forged datagrams ----------------------------------------------------- */

/* Another address, another port, and an epoch that goes back each time. */
static void forge_pmp(struct bench *b, uint32_t n)
{
	uint8_t r[16] = {0, n % 2 ? 129 : 128};

	be32(r + 4, UINT32_MAX - n);
	be32(r + 8, n % 2 ? 41641u << 16 | (n & 0xffff)
			  : 203u << 24 | (n & 0xffffff));
	be32(r + 12, PORTMAP_LIFETIME_MIN_S);
	input(b, "192.168.1.1:5351", r, n % 2 ? 16 : 12);
}

static void forge_pcp(struct bench *b, uint32_t n)
{
	uint8_t r[60] = {2, n % 2 ? 0x81 : 0x80};

	be32(r + 4, 7200);
	be32(r + 8, UINT32_MAX - n);
	be32(r + 24, n); /* the nonce, guessed */
	be32(r + 40, 41641u << 16 | 666);
	input(b, "192.168.1.1:5351", r, n % 2 ? 60 : 24);
}

static void forge_ssdp(struct bench *b, uint32_t n)
{
	char text[300];

	snprintf(text, sizeof(text),
		 "HTTP/1.1 200 OK\r\n"
		 "USN: u%u::urn:schemas-upnp-org:device:InternetGatewayDevice"
		 ":1\r\nSERVER: %u\r\n"
		 "LOCATION: http://192.168.1.1:%u/%u.xml\r\n\r\n",
		 n, n, n % 60000 + 1, n);
	input(b, "192.168.1.1:1900", text, strlen(text));
}

struct counts {
	unsigned sent, changes;
};

/* 250 a second of each kind; the gateway's own answers are among them. */
static struct counts flood(struct bench *b, unsigned ms)
{
	struct counts counts = {.changes = b->changes};
	uint64_t end_ms = b->now_ms + ms;

	for (uint32_t n = 0; b->now_ms < end_ms; n++) {
		pass(b, STEP_MS);
		forge_pmp(b, n);
		forge_pcp(b, n);
		forge_ssdp(b, n);
		counts.sent += (unsigned)b->sent_count;
		forget_sent(b);
		if (b->has_http && n % 250 == 0)
			http_done(b, 404, "");
	}
	counts.changes = b->changes - counts.changes;
	return counts;
}

static void expect_lines(const struct lines *lines, unsigned least)
{
	for (int i = 0; i < PORTMAP_KINDS; i++)
		assert_in_range(lines->of[i], least, MINUTES + 1);
	/* Those of the first second, when it was no flood yet. */
	assert_in_range(lines->others, 0, 8);
}

/* -- the tests ------------------------------------------------------------ */

static void a_flood_is_a_line_a_minute(void **state)
{
	struct bench *b = *state;
	struct lines lines;
	struct counts counts;

	hold_by_pmp(b, 7200);
	forget_sent(b);
	listen_to(&lines);
	counts = flood(b, MINUTES * MINUTE_MS);
	listen_no_more();
	expect_lines(&lines, MINUTES);
	assert_in_range(counts.sent, 1, MINUTES * 60);
	/* A lease of 4 s is lost, and had again. */
	assert_true(counts.changes <= 2 * MINUTES * MINUTE_MS /
					      PORTMAP_RENEW_MIN_MS + 1);
	assert_true(b->p.upnp.devices.count <= SSDP_DEVICES_MAX);
}

static void a_search_among_forged_answers_ends(void **state)
{
	struct bench *b = *state;
	struct lines lines;
	struct counts counts;

	listen_to(&lines);
	set_network(b, "192.168.1.1", "192.168.1.2");
	counts = flood(b, MINUTES * MINUTE_MS);
	listen_no_more();
	expect_lines(&lines, MINUTES);
	assert_in_range(counts.sent, 5, MINUTES * 60);
}

static void after_a_flood_the_gateway_is_heard(void **state)
{
	struct bench *b = *state;
	struct lines lines;

	hold_by_pcp(b, 7200);
	flood(b, 5000);
	pass(b, 5000);
	b->gateway_up_ms = b->now_ms;
	listen_to(&lines);
	pcp_announce(b, 0); /* it has started anew */
	pcp_map(b, 0, 40001, 7200, 0);
	listen_no_more();
	expect_held(b, "203.0.113.9:40001");
	assert_int_equal(lines.others, 2);
}

static void a_network_full_of_devices_is_no_flood(void **state)
{
	struct bench *b = *state;
	struct lines lines;

	listen_to(&lines);
	set_network(b, "192.168.1.1", "192.168.1.2");
	for (uint32_t n = 0; n < 4 * PORTMAP_FLOOD_PER_S; n++) {
		forge_ssdp(b, n);
		pass(b, 2);
	}
	listen_no_more();
	assert_int_equal(lines.of[PORTMAP_UPNP], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_flood_is_a_line_a_minute),
		CASE(a_search_among_forged_answers_ends),
		CASE(after_a_flood_the_gateway_is_heard),
		CASE(a_network_full_of_devices_is_no_flood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
