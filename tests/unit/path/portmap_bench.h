/* SPDX-License-Identifier: BSD-3-Clause
 * portmap_bench.h - a port mapping with a gateway and a clock of the test's own
 *
 * The test is the gateway: it looks at what was sent, and answers. Time passes
 * when it says so.
 */
#ifndef TESTS_UNIT_PATH_PORTMAP_BENCH_H
#define TESTS_UNIT_PATH_PORTMAP_BENCH_H

#include "unit/addresses.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "core/path/portmap.h"

enum { SENT_MAX = 256, EPOCH = 5000 };

struct sent {
	struct ts_addr to;
	uint8_t data[256];
	size_t len;
};

struct bench {
	struct ts_portmap p;
	uint64_t now_ms;
	uint64_t gateway_up_ms; /* its epoch's beginning; EPOCH s before 0 */
	struct sent sent[SENT_MAX];
	size_t sent_count;
	bool has_http;
	char url[IGD_URL_CAP];
	struct ts_igd_request http; /* action "": GET */
	unsigned cancels;
	bool has_mapping;
	struct ts_addr external;
	unsigned changes;
	struct ts_portmap_found found;
};

static inline void udp_send(void *ctx, const struct ts_addr *to,
			    const void *data, size_t len)
{
	struct bench *b = ctx;
	struct sent *s = &b->sent[b->sent_count++];

	assert_true(b->sent_count < SENT_MAX);
	assert_true(len <= sizeof(s->data));
	s->to = *to;
	memcpy(s->data, data, len);
	s->len = len;
}

static inline void http(void *ctx, const char *url,
			const struct ts_igd_request *request,
			unsigned timeout_ms)
{
	struct bench *b = ctx;

	assert_false(b->has_http); /* one at a time */
	assert_true(timeout_ms > 0);
	b->has_http = true;
	snprintf(b->url, sizeof(b->url), "%s", url);
	memset(&b->http, 0, sizeof(b->http));
	if (request)
		b->http = *request;
}

static inline void http_cancel(void *ctx)
{
	struct bench *b = ctx;

	b->has_http = false;
	b->cancels++;
}

static inline void changed(void *ctx, const struct ts_addr *external)
{
	struct bench *b = ctx;

	b->changes++;
	b->has_mapping = external != NULL;
	if (external)
		b->external = *external;
}

static inline void found(void *ctx, const struct ts_portmap_found *f)
{
	struct bench *b = ctx;

	b->found = *f;
}

static const struct ts_portmap_ops ops = {
	.udp_send = udp_send,
	.http = http,
	.http_cancel = http_cancel,
	.changed = changed,
	.found = found,
};

static inline void set_network(struct bench *b, const char *gateway,
			       const char *own)
{
	struct ts_portmap_network n = {.port = 41641};

	if (gateway) {
		assert_int_equal(ts_ip_parse(gateway, &n.gateway), 0);
		assert_int_equal(ts_ip_parse(own, &n.own), 0);
	}
	ts_portmap_set_network(&b->p, &n, b->now_ms);
}

static inline int setup(void **state)
{
	static struct bench bench;

	memset(&bench, 0, sizeof(bench));
	bench.now_ms = 1000;
	ts_portmap_init(&bench.p, &ops, &bench);
	*state = &bench;
	return 0;
}

/* -- time and traffic ----------------------------------------------------- */

static inline void run_until(struct bench *b, uint64_t to_ms)
{
	unsigned steps = 0;

	while (ts_portmap_deadline_ms(&b->p) <= to_ms) {
		uint64_t at_ms = ts_portmap_deadline_ms(&b->p);

		if (at_ms > b->now_ms)
			b->now_ms = at_ms;
		ts_portmap_tick(&b->p, b->now_ms);
		assert_true(++steps < 1000); /* no busy loop */
	}
	b->now_ms = to_ms;
}

static inline void pass(struct bench *b, uint64_t ms)
{
	run_until(b, b->now_ms + ms);
}

static inline void forget_sent(struct bench *b)
{
	b->sent_count = 0;
}

/* Datagrams to the gateway's 5351 of that version and op code. */
static inline unsigned asked(const struct bench *b, uint8_t version, uint8_t op)
{
	unsigned count = 0;

	for (size_t i = 0; i < b->sent_count; i++)
		if (b->sent[i].to.port == PXP_PORT &&
		    b->sent[i].data[0] == version && b->sent[i].data[1] == op)
			count++;
	return count;
}

static const struct sent *last_asked(const struct bench *b, uint8_t version,
				     uint8_t op)
{
	for (size_t i = b->sent_count; i > 0; i--)
		if (b->sent[i - 1].to.port == PXP_PORT &&
		    b->sent[i - 1].data[0] == version &&
		    b->sent[i - 1].data[1] == op)
			return &b->sent[i - 1];
	fail_msg("not asked");
	return NULL;
}

static inline void be32(uint8_t *out, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		out[i] = (uint8_t)(v >> (24 - 8 * i));
}

static inline uint32_t lifetime_of(const struct sent *s, size_t at)
{
	return (uint32_t)s->data[at] << 24 | (uint32_t)s->data[at + 1] << 16 |
	       (uint32_t)s->data[at + 2] << 8 | s->data[at + 3];
}

static inline uint32_t epoch(const struct bench *b)
{
	return (uint32_t)(EPOCH +
			  ((int64_t)b->now_ms - (int64_t)b->gateway_up_ms) /
				  1000);
}

static inline void input(struct bench *b, const char *from, const void *data,
			 size_t len)
{
	struct ts_addr a = addr_of(from);

	ts_portmap_input(&b->p, &a, data, len, b->now_ms);
}

static inline void pmp_external(struct bench *b, uint8_t result, const char *ip)
{
	uint8_t r[12] = {0, 128, 0, result};
	struct ts_ip external;

	assert_int_equal(ts_ip_parse(ip, &external), 0);
	be32(r + 4, epoch(b));
	memcpy(r + 8, external.bytes + 12, 4);
	input(b, "192.168.1.1:5351", r, sizeof(r));
}

static inline void pmp_map(struct bench *b, uint8_t result, uint16_t internal,
			   uint16_t external, uint32_t lifetime_s)
{
	uint8_t r[16] = {0, 129, 0, result};

	be32(r + 4, epoch(b));
	be32(r + 8, (uint32_t)internal << 16 | external);
	be32(r + 12, lifetime_s);
	input(b, "192.168.1.1:5351", r, sizeof(r));
}

static inline void pcp_announce(struct bench *b, uint8_t result)
{
	uint8_t r[24] = {2, 0x80, 0, result};

	be32(r + 8, epoch(b));
	input(b, "192.168.1.1:5351", r, sizeof(r));
}

/* Answers the last request, its nonce with it. */
static inline void pcp_map(struct bench *b, uint8_t result, uint16_t external,
			   uint32_t lifetime_s, int nonce_off_by)
{
	const struct sent *rq = last_asked(b, 2, 1);
	struct ts_addr ext = addr_of("203.0.113.9:0");
	uint8_t r[60] = {2, 0x81, 0, result};

	be32(r + 4, lifetime_s);
	be32(r + 8, epoch(b));
	memcpy(r + 24, rq->data + 24, 18);
	r[24] = (uint8_t)(r[24] + nonce_off_by);
	r[42] = (uint8_t)(external >> 8);
	r[43] = (uint8_t)external;
	memcpy(r + 44, ext.ip.bytes, 16);
	input(b, "192.168.1.1:5351", r, sizeof(r));
}

static inline void ssdp(struct bench *b)
{
	static const char text[] =
		"HTTP/1.1 200 OK\r\n"
		"ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n"
		"USN: u::urn:schemas-upnp-org:device:InternetGatewayDevice:1"
		"\r\n"
		"LOCATION: http://192.168.1.1:5000/root.xml\r\n\r\n";

	input(b, "192.168.1.1:1900", text, sizeof(text) - 1);
}

static inline void http_done(struct bench *b, int status, const char *body)
{
	assert_true(b->has_http);
	b->has_http = false;
	ts_portmap_http_done(&b->p, status, body, strlen(body), b->now_ms);
}

static inline void expect_action(const struct bench *b, const char *name)
{
	assert_true(b->has_http);
	assert_non_null(strstr(b->http.action, name));
}

#define WANIP "urn:schemas-upnp-org:service:WANIPConnection:"
#define SERVICE(type, url)                                                     \
	"<service><serviceType>" type "</serviceType>"                         \
	"<controlURL>" url "</controlURL></service>"
#define FAULT(code) "<e><errorCode>" code "</errorCode></e>"

static inline void expect_held(const struct bench *b, const char *text)
{
	struct ts_addr a = addr_of(text);

	assert_true(b->has_mapping);
	assert_true(ts_addr_equal(&a, &b->external));
	assert_int_equal(b->p.state, PORTMAP_HELD);
}

static inline void hold_by_pmp(struct bench *b, uint32_t lifetime_s)
{
	set_network(b, "192.168.1.1", "192.168.1.2");
	pmp_external(b, 0, "203.0.113.9");
	pmp_map(b, 0, 41641, 40000, lifetime_s);
	expect_held(b, "203.0.113.9:40000");
}

static inline void hold_by_pcp(struct bench *b, uint32_t lifetime_s)
{
	set_network(b, "192.168.1.1", "192.168.1.2");
	pcp_announce(b, 0);
	pass(b, PORTMAP_MORE_MS);
	pcp_map(b, 0, 40000, lifetime_s, 0);
	expect_held(b, "203.0.113.9:40000");
}

static inline void hold_by_upnp(struct bench *b)
{
	set_network(b, "192.168.1.1", "192.168.1.2");
	ssdp(b);
	pass(b, PORTMAP_PROBE_MS);
	http_done(b, 200, "<r>" SERVICE(WANIP "2", "/c") "</r>");
	expect_action(b, "#AddAnyPortMapping");
	http_done(b, 200, "<e><NewReservedPort>40000</NewReservedPort></e>");
	expect_action(b, "#GetExternalIPAddress");
	http_done(b, 200,
		  "<e><NewExternalIPAddress>203.0.113.9"
		  "</NewExternalIPAddress></e>");
	expect_held(b, "203.0.113.9:40000");
}

#define CASE(name) cmocka_unit_test_setup(name, setup)

#endif
