/* SPDX-License-Identifier: BSD-3-Clause
 * test_portmap.c - the search for a port and its keeping, with a gateway and a
 * clock of the test's own
 */
#include "unit/test.h"

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

static void udp_send(void *ctx, const struct ts_addr *to, const void *data,
		     size_t len)
{
	struct bench *b = ctx;
	struct sent *s = &b->sent[b->sent_count++];

	assert_true(b->sent_count < SENT_MAX);
	assert_true(len <= sizeof(s->data));
	s->to = *to;
	memcpy(s->data, data, len);
	s->len = len;
}

static void http(void *ctx, const char *url,
		 const struct ts_igd_request *request, unsigned timeout_ms)
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

static void http_cancel(void *ctx)
{
	struct bench *b = ctx;

	b->has_http = false;
	b->cancels++;
}

static void changed(void *ctx, const struct ts_addr *external)
{
	struct bench *b = ctx;

	b->changes++;
	b->has_mapping = external != NULL;
	if (external)
		b->external = *external;
}

static void found(void *ctx, const struct ts_portmap_found *f)
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

static struct ts_addr addr(const char *text)
{
	struct ts_addr a;

	assert_int_equal(ts_addr_parse(text, &a), 0);
	return a;
}

static void set_network(struct bench *b, const char *gateway, const char *own)
{
	struct ts_portmap_network n = {.port = 41641};

	if (gateway) {
		assert_int_equal(ts_ip_parse(gateway, &n.gateway), 0);
		assert_int_equal(ts_ip_parse(own, &n.own), 0);
	}
	ts_portmap_set_network(&b->p, &n, b->now_ms);
}

static int setup(void **state)
{
	static struct bench bench;

	memset(&bench, 0, sizeof(bench));
	bench.now_ms = 1000;
	ts_portmap_init(&bench.p, &ops, &bench);
	*state = &bench;
	return 0;
}

/* -- time and traffic ----------------------------------------------------- */

static void run_until(struct bench *b, uint64_t to_ms)
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

static void pass(struct bench *b, uint64_t ms)
{
	run_until(b, b->now_ms + ms);
}

static void forget_sent(struct bench *b)
{
	b->sent_count = 0;
}

/* Datagrams to the gateway's 5351 of that version and op code. */
static unsigned asked(const struct bench *b, uint8_t version, uint8_t op)
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

static void be32(uint8_t *out, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		out[i] = (uint8_t)(v >> (24 - 8 * i));
}

static uint32_t lifetime_of(const struct sent *s, size_t at)
{
	return (uint32_t)s->data[at] << 24 | (uint32_t)s->data[at + 1] << 16 |
	       (uint32_t)s->data[at + 2] << 8 | s->data[at + 3];
}

static uint32_t epoch(const struct bench *b)
{
	return (uint32_t)(EPOCH +
			  ((int64_t)b->now_ms - (int64_t)b->gateway_up_ms) /
				  1000);
}

static void input(struct bench *b, const char *from, const void *data,
		  size_t len)
{
	struct ts_addr a = addr(from);

	ts_portmap_input(&b->p, &a, data, len, b->now_ms);
}

static void pmp_external(struct bench *b, uint8_t result, const char *ip)
{
	uint8_t r[12] = {0, 128, 0, result};
	struct ts_ip external;

	assert_int_equal(ts_ip_parse(ip, &external), 0);
	be32(r + 4, epoch(b));
	memcpy(r + 8, external.bytes + 12, 4);
	input(b, "192.168.1.1:5351", r, sizeof(r));
}

static void pmp_map(struct bench *b, uint8_t result, uint16_t internal,
		    uint16_t external, uint32_t lifetime_s)
{
	uint8_t r[16] = {0, 129, 0, result};

	be32(r + 4, epoch(b));
	be32(r + 8, (uint32_t)internal << 16 | external);
	be32(r + 12, lifetime_s);
	input(b, "192.168.1.1:5351", r, sizeof(r));
}

static void pcp_announce(struct bench *b, uint8_t result)
{
	uint8_t r[24] = {2, 0x80, 0, result};

	be32(r + 8, epoch(b));
	input(b, "192.168.1.1:5351", r, sizeof(r));
}

/* Answers the last request, its nonce with it. */
static void pcp_map(struct bench *b, uint8_t result, uint16_t external,
		    uint32_t lifetime_s, int nonce_off_by)
{
	const struct sent *rq = last_asked(b, 2, 1);
	struct ts_addr ext = addr("203.0.113.9:0");
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

static void ssdp(struct bench *b)
{
	static const char text[] =
		"HTTP/1.1 200 OK\r\n"
		"ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n"
		"USN: u::urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n"
		"LOCATION: http://192.168.1.1:5000/root.xml\r\n\r\n";

	input(b, "192.168.1.1:1900", text, sizeof(text) - 1);
}

static void http_done(struct bench *b, int status, const char *body)
{
	assert_true(b->has_http);
	b->has_http = false;
	ts_portmap_http_done(&b->p, status, body, strlen(body), b->now_ms);
}

static void expect_action(const struct bench *b, const char *name)
{
	assert_true(b->has_http);
	assert_non_null(strstr(b->http.action, name));
}

#define WANIP "urn:schemas-upnp-org:service:WANIPConnection:"
#define SERVICE(type, url)                                                     \
	"<service><serviceType>" type "</serviceType>"                         \
	"<controlURL>" url "</controlURL></service>"
#define FAULT(code) "<e><errorCode>" code "</errorCode></e>"

static void expect_held(const struct bench *b, const char *text)
{
	struct ts_addr a = addr(text);

	assert_true(b->has_mapping);
	assert_true(ts_addr_equal(&a, &b->external));
	assert_int_equal(b->p.state, PORTMAP_HELD);
}

static void hold_by_pmp(struct bench *b, uint32_t lifetime_s)
{
	set_network(b, "192.168.1.1", "192.168.1.2");
	pmp_external(b, 0, "203.0.113.9");
	pmp_map(b, 0, 41641, 40000, lifetime_s);
	expect_held(b, "203.0.113.9:40000");
}

static void hold_by_pcp(struct bench *b, uint32_t lifetime_s)
{
	set_network(b, "192.168.1.1", "192.168.1.2");
	pcp_announce(b, 0);
	pass(b, PORTMAP_MORE_MS);
	pcp_map(b, 0, 40000, lifetime_s, 0);
	expect_held(b, "203.0.113.9:40000");
}

static void hold_by_upnp(struct bench *b)
{
	set_network(b, "192.168.1.1", "192.168.1.2");
	ssdp(b);
	pass(b, PORTMAP_PROBE_MS);
	http_done(b, 200, "<r>" SERVICE(WANIP "2", "/c") "</r>");
	expect_action(b, "#AddAnyPortMapping");
	http_done(b, 200, "<e><NewReservedPort>40000</NewReservedPort></e>");
	expect_action(b, "#GetExternalIPAddress");
	http_done(b, 200, "<e><NewExternalIPAddress>203.0.113.9"
			  "</NewExternalIPAddress></e>");
	expect_held(b, "203.0.113.9:40000");
}

/* -- the search ----------------------------------------------------------- */

static void without_a_private_gateway_nothing_is_sent(void **state)
{
	struct bench *b = *state;

	set_network(b, NULL, NULL);
	set_network(b, "8.8.8.8", "192.168.1.2");
	set_network(b, "fd00::1", "fd00::2");
	set_network(b, "127.0.0.1", "127.0.0.1");
	assert_int_equal(b->sent_count, 0);
	assert_int_equal(ts_portmap_deadline_ms(&b->p), UINT64_MAX);
	assert_true(ts_portmap_is_released(&b->p));
}

static void a_search_is_five_packets(void **state)
{
	struct bench *b = *state;
	struct ts_addr group = addr("239.255.255.250:1900");

	set_network(b, "192.168.1.1", "192.168.1.2");
	assert_int_equal(b->sent_count, 5);
	assert_int_equal(asked(b, 0, 0), 1);
	assert_int_equal(asked(b, 2, 0), 1);
	assert_true(ts_addr_equal(&b->sent[3].to, &group));
	assert_memory_equal(b->sent[4].data, "M-SEARCH * HTTP/1.1\r\n", 21);
}

static void silence_is_asked_again_ever_more_rarely(void **state)
{
	struct bench *b = *state;

	set_network(b, "192.168.1.1", "192.168.1.2");
	pass(b, PORTMAP_PROBE_MS);
	for (int i = 0; i < PORTMAP_KINDS; i++)
		assert_int_equal(b->found.by_kind[i], TS_NO);
	pass(b, PORTMAP_SSDP_MS);
	assert_int_equal(b->p.state, PORTMAP_RESTING);
	forget_sent(b);
	pass(b, PORTMAP_REST_MS);
	assert_int_equal(b->sent_count, 5);
	forget_sent(b);
	pass(b, 3600000);
	assert_in_range(b->sent_count, 5 * 5, 5 * 7); /* 600 s apart */
	assert_int_equal(b->changes, 0);
}

static void nat_pmp_is_taken_at_once(void **state)
{
	struct bench *b = *state;

	hold_by_pmp(b, 7200);
	assert_int_equal(b->now_ms, 1000);
	assert_int_equal(asked(b, 2, 1), 0);
	assert_int_equal(lifetime_of(last_asked(b, 0, 1), 8), 7200);
	pass(b, PORTMAP_PROBE_MS);
	assert_int_equal(b->found.by_kind[PORTMAP_PMP], TS_YES);
	assert_int_equal(b->found.by_kind[PORTMAP_PCP], TS_NO);
	assert_int_equal(b->changes, 1);
}

static void the_two_answers_may_come_in_any_order(void **state)
{
	struct bench *b = *state;

	hold_by_pmp(b, 7200);
	run_until(b, b->p.renew_ms);
	assert_int_equal(b->p.state, PORTMAP_ASKING);
	pmp_map(b, 0, 41641, 40001, 7200);
	assert_int_equal(b->p.state, PORTMAP_ASKING);
	pmp_external(b, 0, "203.0.113.10");
	expect_held(b, "203.0.113.10:40001");
	assert_int_equal(b->changes, 2);
}

static void pcp_is_taken_when_nat_pmp_is_silent(void **state)
{
	struct bench *b = *state;
	const struct sent *rq;

	hold_by_pcp(b, 7200);
	rq = last_asked(b, 2, 1);
	assert_int_equal(lifetime_of(rq, 4), 7200);
	assert_int_equal(asked(b, 0, 1), 0);
}

static void nat_pmp_wins_over_pcp_when_it_is_a_little_later(void **state)
{
	struct bench *b = *state;

	set_network(b, "192.168.1.1", "192.168.1.2");
	pcp_announce(b, 0);
	pass(b, PORTMAP_MORE_MS - 1);
	pmp_external(b, 0, "203.0.113.9");
	assert_int_equal(asked(b, 0, 1), 1);
	assert_int_equal(asked(b, 2, 1), 0);
}

static void one_that_says_unsupported_is_not_a_refusal(void **state)
{
	struct bench *b = *state;
	uint8_t r[8] = {0, 128, 0, 1};

	set_network(b, "192.168.1.1", "192.168.1.2");
	input(b, "192.168.1.1:5351", r, sizeof(r)); /* to the PCP question */
	pmp_external(b, 0, "203.0.113.9");
	assert_int_equal(asked(b, 0, 1), 1);
}

static void the_next_kind_follows_a_refusal(void **state)
{
	struct bench *b = *state;

	set_network(b, "192.168.1.1", "192.168.1.2");
	ssdp(b);
	pcp_announce(b, 0);
	pmp_external(b, 0, "203.0.113.9");
	pmp_map(b, 2, 41641, 0, 0); /* not authorized */
	assert_int_equal(asked(b, 2, 1), 1);
	pcp_map(b, 8, 0, 30, 0); /* no resources */
	assert_true(b->has_http);
	assert_string_equal(b->url, "http://192.168.1.1:5000/root.xml");
	http_done(b, 404, "");
	assert_int_equal(b->p.state, PORTMAP_RESTING);
	assert_false(b->has_mapping);
}

static void a_refusal_may_be_faster_than_the_others_answers(void **state)
{
	struct bench *b = *state;

	set_network(b, "192.168.1.1", "192.168.1.2");
	pmp_external(b, 0, "203.0.113.9");
	pmp_map(b, 2, 41641, 0, 0);
	assert_int_equal(b->p.state, PORTMAP_RESTING);
	pass(b, 5);
	pcp_announce(b, 2); /* not authorized: no news */
	assert_int_equal(b->p.state, PORTMAP_RESTING);
	ssdp(b);
	pass(b, PORTMAP_PROBE_MS);
	assert_true(b->has_http);
	http_done(b, 404, "");
	assert_int_equal(b->p.state, PORTMAP_RESTING);
	pass(b, 10);
	ssdp(b); /* tried already */
	pass(b, PORTMAP_MORE_MS);
	assert_false(b->has_http);
	assert_int_equal(b->p.state, PORTMAP_RESTING);
	pass(b, PORTMAP_REST_MS);
	assert_int_equal(b->p.state, PORTMAP_PROBING);
}

static void silence_after_the_search_leads_to_the_next_kind(void **state)
{
	struct bench *b = *state;

	set_network(b, "192.168.1.1", "192.168.1.2");
	ssdp(b);
	pmp_external(b, 0, "203.0.113.9");
	pass(b, 250 + 500 + 1000);
	assert_int_equal(asked(b, 0, 1), PORTMAP_ASK_TRIES);
	assert_true(b->has_http);
}

/* -- UPnP ----------------------------------------------------------------- */

static void upnp_is_taken_when_both_are_silent(void **state)
{
	struct bench *b = *state;

	hold_by_upnp(b);
	assert_string_equal(b->url, "http://192.168.1.1:5000/c");
	assert_int_equal(b->found.by_kind[PORTMAP_UPNP], TS_YES);
}

static void upnp_devices_may_take_their_time(void **state)
{
	struct bench *b = *state;

	set_network(b, "192.168.1.1", "192.168.1.2");
	pass(b, 2000);
	assert_int_equal(b->found.by_kind[PORTMAP_UPNP], TS_NO);
	ssdp(b);
	assert_int_equal(b->found.by_kind[PORTMAP_UPNP], TS_YES);
	pass(b, PORTMAP_MORE_MS);
	assert_true(b->has_http);
	pass(b, UPNP_CREATE_MS); /* and then it hangs */
	assert_int_equal(b->cancels, 1);
	assert_int_equal(b->p.state, PORTMAP_RESTING);
	b->has_http = false;
	ssdp(b); /* nobody is asked any more */
	assert_false(b->has_http);
}

static void a_lease_for_ever_is_asked_for_when_there_is_no_other(void **state)
{
	struct bench *b = *state;

	set_network(b, "192.168.1.1", "192.168.1.2");
	ssdp(b);
	pass(b, PORTMAP_PROBE_MS);
	http_done(b, 200, "<r>" SERVICE(WANIP "1", "/c") "</r>");
	expect_action(b, "#AddPortMapping");
	assert_non_null(strstr(b->http.body, ">7200</NewLeaseDuration>"));
	http_done(b, 500, FAULT("725"));
	expect_action(b, "#AddPortMapping");
	assert_non_null(strstr(b->http.body, ">0</NewLeaseDuration>"));
	http_done(b, 500, FAULT("725"));
	assert_false(b->has_http);
	assert_int_equal(b->p.state, PORTMAP_RESTING);
}

static void a_port_that_is_taken_gives_way_to_another(void **state)
{
	struct bench *b = *state;
	char first[IGD_REQUEST_CAP];

	set_network(b, "192.168.1.1", "192.168.1.2");
	ssdp(b);
	pass(b, PORTMAP_PROBE_MS);
	http_done(b, 200, "<r>" SERVICE(WANIP "1", "/c") "</r>");
	for (int i = 0; i < UPNP_PORT_TRIES; i++) {
		memcpy(first, b->http.body, sizeof(first));
		expect_action(b, "#AddPortMapping");
		http_done(b, 500, FAULT("718"));
		if (b->has_http)
			assert_string_not_equal(first, b->http.body);
	}
	assert_false(b->has_http);
}

static void the_service_that_is_connected_is_chosen(void **state)
{
	struct bench *b = *state;

	set_network(b, "192.168.1.1", "192.168.1.2");
	ssdp(b);
	pass(b, PORTMAP_PROBE_MS);
	http_done(b, 200, "<r>" SERVICE(WANIP "1", "/a") SERVICE(WANIP "1", "/b")
			  SERVICE(WANIP "1", "/c") "</r>");
	expect_action(b, "#GetStatusInfo");
	http_done(b, 200, "<e><NewConnectionStatus>Disconnected"
			  "</NewConnectionStatus></e>");
	http_done(b, 200, "<e><NewConnectionStatus>Connected"
			  "</NewConnectionStatus></e>");
	expect_action(b, "#GetExternalIPAddress");
	http_done(b, 200, "<e><NewExternalIPAddress>10.0.0.1"
			  "</NewExternalIPAddress></e>");
	http_done(b, 500, FAULT("501"));
	/* Connected behind another NAT is better than not connected. */
	expect_action(b, "#AddPortMapping");
	assert_string_equal(b->url, "http://192.168.1.1:5000/b");
}

static void a_mapping_of_no_use_is_taken_back(void **state)
{
	struct bench *b = *state;

	set_network(b, "192.168.1.1", "192.168.1.2");
	ssdp(b);
	pass(b, PORTMAP_PROBE_MS);
	http_done(b, 200, "<r>" SERVICE(WANIP "1", "/c") "</r>");
	http_done(b, 200, "<e/>");
	http_done(b, 200, "<e><NewExternalIPAddress>0.0.0.0"
			  "</NewExternalIPAddress></e>");
	expect_action(b, "#DeletePortMapping");
	http_done(b, 200, "<e/>");
	assert_int_equal(b->p.state, PORTMAP_RESTING);
	assert_int_equal(b->changes, 0);
}

static void upnp_is_renewed_at_its_service(void **state)
{
	struct bench *b = *state;

	hold_by_upnp(b);
	pass(b, PORTMAP_UPNP_CHECK_MS);
	expect_action(b, "#AddAnyPortMapping");
	assert_non_null(strstr(b->http.body,
			       "<NewExternalPort>40000</NewExternalPort>"));
	http_done(b, 200, "<e><NewReservedPort>40000</NewReservedPort></e>");
	http_done(b, 200, "<e><NewExternalIPAddress>203.0.113.9"
			  "</NewExternalIPAddress></e>");
	expect_held(b, "203.0.113.9:40000");
	assert_int_equal(b->changes, 1);
}

static void upnp_can_be_switched_off_at_any_time(void **state)
{
	struct bench *b = *state;

	hold_by_upnp(b);
	forget_sent(b);
	ts_portmap_allow_upnp(&b->p, false, b->now_ms);
	assert_false(b->has_mapping);
	expect_action(b, "#DeletePortMapping");
	http_done(b, 200, "<e/>");
	assert_int_equal(b->sent_count, 2); /* a search without UPnP */
	ssdp(b);
	pass(b, 5000);
	assert_false(b->has_http);
	assert_int_equal(b->found.by_kind[PORTMAP_UPNP], TS_NO);
}

/* -- the keeping ---------------------------------------------------------- */

static void a_mapping_is_renewed_at_half_of_its_life(void **state)
{
	struct bench *b = *state;

	hold_by_pmp(b, 100);
	forget_sent(b);
	pass(b, 49999);
	assert_int_equal(asked(b, 0, 1), 0);
	pass(b, 1);
	assert_int_equal(asked(b, 0, 1), 1);
	assert_memory_equal(last_asked(b, 0, 1)->data + 6, "\x9c\x40", 2);
	pmp_external(b, 0, "203.0.113.9");
	pmp_map(b, 0, 41641, 40000, 100);
	expect_held(b, "203.0.113.9:40000");
	assert_int_equal(b->changes, 1);
}

static void an_unanswered_renewal_is_repeated_until_the_end(void **state)
{
	struct bench *b = *state;

	hold_by_pcp(b, 100);
	forget_sent(b);
	pass(b, 99999);
	assert_true(b->has_mapping);
	assert_in_range(asked(b, 2, 1), 6, 15);
	pass(b, 5000);
	assert_false(b->has_mapping);
	assert_int_equal(b->changes, 2);
}

static void long_leases_are_not_believed_and_short_ones_not_taken(void **state)
{
	struct bench *b = *state;

	hold_by_pmp(b, UINT32_MAX);
	assert_int_equal(b->p.until_ms, 1000 + 7200000);
	run_until(b, b->p.renew_ms);
	pmp_external(b, 0, "203.0.113.9");
	forget_sent(b);
	pmp_map(b, 0, 41641, 40000, 1);
	assert_int_equal(b->sent_count, 0); /* no haste */
	assert_true(b->p.renew_ms >= b->now_ms + PORTMAP_RENEW_MIN_MS);
	pmp_map(b, 0, 41641, 40000, 0);
	assert_true(b->has_mapping);
}

static void a_gateway_cannot_make_us_hurry(void **state)
{
	struct bench *b = *state;
	unsigned maps = 0;

	hold_by_pmp(b, PORTMAP_LIFETIME_MIN_S);
	forget_sent(b);
	for (int i = 0; i < 600; i++) { /* ten minutes, it answers at once */
		pass(b, 1000);
		maps += asked(b, 0, 1);
		if (asked(b, 0, 1)) {
			pmp_external(b, 0, "203.0.113.9");
			pmp_map(b, 0, 41641, 40000, PORTMAP_LIFETIME_MIN_S);
		}
		forget_sent(b);
	}
	assert_true(maps <= 600 / 4 + 1);
}

static void answers_of_strangers_are_passed_over(void **state)
{
	struct bench *b = *state;
	uint8_t r[16] = {0, 129};

	set_network(b, "192.168.1.1", "192.168.1.2");
	pmp_external(b, 0, "203.0.113.9");
	be32(r + 8, 41641u << 16 | 666);
	be32(r + 12, 7200);
	input(b, "192.168.1.66:5351", r, sizeof(r)); /* another host */
	input(b, "192.168.1.1:5350", r, sizeof(r)); /* another port */
	pmp_map(b, 0, 41642, 40000, 7200);	    /* another's mapping */
	assert_int_equal(b->changes, 0);
	pmp_map(b, 0, 41641, 40000, 7200);
	expect_held(b, "203.0.113.9:40000");
	pmp_map(b, 0, 41641, 666, 7200); /* unasked */
	expect_held(b, "203.0.113.9:40000");
}

static void a_pcp_answer_needs_our_nonce(void **state)
{
	struct bench *b = *state;

	set_network(b, "192.168.1.1", "192.168.1.2");
	pcp_announce(b, 0);
	pass(b, PORTMAP_MORE_MS);
	pcp_map(b, 0, 40000, 7200, 1);
	assert_int_equal(b->changes, 0);
	pcp_map(b, 0, 40000, 7200, 0);
	expect_held(b, "203.0.113.9:40000");
}

static void addresses_of_no_use_are_not_published(void **state)
{
	static const char *const lies[] = {
		"127.0.0.1", "169.254.1.1", "224.0.0.1", "255.255.255.255",
		"100.64.0.1"};

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct bench *b;

		setup(state);
		b = *state;
		set_network(b, "192.168.1.1", "192.168.1.2");
		pmp_external(b, 0, lies[i]);
		pmp_map(b, 0, 41641, 40000, 7200);
		assert_int_equal(b->changes, 0);
		assert_int_equal(b->p.state, PORTMAP_RESTING);
	}
}

static void an_address_of_another_nat_is_published(void **state)
{
	struct bench *b = *state;

	set_network(b, "192.168.1.1", "192.168.1.2");
	pmp_external(b, 0, "10.1.2.3");
	pmp_map(b, 0, 41641, 40000, 7200);
	expect_held(b, "10.1.2.3:40000");
}

/* -- epochs --------------------------------------------------------------- */

static void a_gateway_that_starts_anew_is_asked_at_once(void **state)
{
	struct bench *b = *state;

	hold_by_pmp(b, 7200);
	pass(b, 60000);
	forget_sent(b);
	b->gateway_up_ms = b->now_ms + EPOCH * 1000; /* its epoch is 0 now */
	pmp_external(b, 0, "203.0.113.9");
	assert_int_equal(asked(b, 0, 1), 1);
	assert_true(b->has_mapping); /* until we know better */
	pmp_map(b, 0, 41641, 40000, 7200);
	expect_held(b, "203.0.113.9:40000");
	assert_int_equal(b->changes, 1);
}

static void another_address_of_the_gateway_is_taken_over(void **state)
{
	struct bench *b = *state;

	hold_by_pmp(b, 7200);
	pass(b, 60000);
	forget_sent(b);
	pmp_external(b, 0, "203.0.113.77"); /* announced */
	assert_int_equal(asked(b, 0, 1), 1);
	pmp_map(b, 0, 41641, 40000, 7200);
	expect_held(b, "203.0.113.77:40000");
	assert_int_equal(b->changes, 2);
	pmp_external(b, 0, "203.0.113.78"); /* and at once again: it waits */
	assert_int_equal(asked(b, 0, 1), 1);
	pass(b, PORTMAP_CHECK_MS);
	pmp_external(b, 0, "203.0.113.78");
	assert_int_equal(asked(b, 0, 1), 2);
}

static void a_mapping_is_checked_every_two_minutes(void **state)
{
	struct bench *b = *state;

	hold_by_pcp(b, 7200);
	forget_sent(b);
	for (int i = 0; i < 10; i++) {
		pass(b, PORTMAP_CHECK_MS);
		pcp_announce(b, 0);
	}
	assert_int_equal(asked(b, 2, 0), 10);
	assert_int_equal(asked(b, 2, 1), 0);
	b->gateway_up_ms = b->now_ms + EPOCH * 1000;
	pass(b, PORTMAP_CHECK_MS);
	pcp_announce(b, 0);
	assert_int_equal(asked(b, 2, 1), 1);
}

static void a_clock_that_is_a_little_off_is_no_restart(void **state)
{
	struct bench *b = *state;

	hold_by_pmp(b, 7200);
	forget_sent(b);
	pass(b, 100000);
	b->gateway_up_ms += 12000; /* 12 % slow */
	pmp_external(b, 0, "203.0.113.9");
	assert_int_equal(asked(b, 0, 1), 0);
}

static void restarts_without_end_cost_a_question_in_four_seconds(void **state)
{
	struct bench *b = *state;

	hold_by_pmp(b, 7200);
	pass(b, 60000);
	forget_sent(b);
	for (int i = 0; i < 400; i++) { /* 40 s */
		uint8_t r[12] = {0, 128, 0, 0, 0, 0, (uint8_t)(i % 2 * 200), 0,
				 203, 0, 113, 9};

		pass(b, 100);
		input(b, "192.168.1.1:5351", r, sizeof(r));
		if (b->p.state == PORTMAP_ASKING)
			pmp_map(b, 0, 41641, 40000, 7200);
		assert_true(asked(b, 0, 1) <= 3);
		if (i % 40 == 39)
			forget_sent(b);
	}
	assert_true(b->has_mapping);
}

/* -- the end, and another network ----------------------------------------- */

static void nat_pmp_is_given_back(void **state)
{
	struct bench *b = *state;

	hold_by_pmp(b, 7200);
	forget_sent(b);
	ts_portmap_release(&b->p, b->now_ms);
	assert_false(b->has_mapping);
	assert_false(ts_portmap_is_released(&b->p));
	assert_int_equal(lifetime_of(last_asked(b, 0, 1), 8), 0);
	/* RFC 6886, 3.4: the external port is zero as well. */
	assert_memory_equal(last_asked(b, 0, 1)->data + 6, "\0\0", 2);
	pmp_map(b, 0, 41641, 0, 0);
	assert_true(ts_portmap_is_released(&b->p));
	set_network(b, "192.168.1.1", "192.168.1.2");
	assert_int_equal(ts_portmap_deadline_ms(&b->p), UINT64_MAX);
}

static void pcp_is_given_back_with_its_nonce(void **state)
{
	struct bench *b = *state;
	uint8_t nonce[12];

	hold_by_pcp(b, 7200);
	memcpy(nonce, last_asked(b, 2, 1)->data + 24, 12);
	forget_sent(b);
	ts_portmap_release(&b->p, b->now_ms);
	assert_int_equal(lifetime_of(last_asked(b, 2, 1), 4), 0);
	assert_memory_equal(last_asked(b, 2, 1)->data + 24, nonce, 12);
	pcp_map(b, 0, 0, 0, 0);
	assert_true(ts_portmap_is_released(&b->p));
}

static void a_silent_gateway_does_not_hold_up_the_end(void **state)
{
	struct bench *b = *state;

	hold_by_pmp(b, 7200);
	ts_portmap_release(&b->p, b->now_ms);
	pass(b, PORTMAP_RELEASE_TRIES * PORTMAP_RELEASE_MS);
	assert_true(ts_portmap_is_released(&b->p));
	setup(state);
	hold_by_upnp(b);
	ts_portmap_release(&b->p, b->now_ms);
	expect_action(b, "#DeletePortMapping");
	pass(b, UPNP_DELETE_MS);
	assert_true(ts_portmap_is_released(&b->p));
}

static void a_request_under_way_is_given_back_too(void **state)
{
	struct bench *b = *state;

	set_network(b, "192.168.1.1", "192.168.1.2");
	pmp_external(b, 0, "203.0.113.9");
	ts_portmap_release(&b->p, b->now_ms);
	assert_int_equal(lifetime_of(last_asked(b, 0, 1), 8), 0);
	setup(state);
	set_network(b, "192.168.1.1", "192.168.1.2");
	ssdp(b);
	pass(b, PORTMAP_PROBE_MS);
	http_done(b, 200, "<r>" SERVICE(WANIP "1", "/c") "</r>");
	ts_portmap_release(&b->p, b->now_ms);
	expect_action(b, "#DeletePortMapping");
}

static void without_a_mapping_the_end_is_at_once(void **state)
{
	struct bench *b = *state;

	set_network(b, "192.168.1.1", "192.168.1.2");
	forget_sent(b);
	ts_portmap_release(&b->p, b->now_ms);
	assert_true(ts_portmap_is_released(&b->p));
	assert_int_equal(b->sent_count, 0);
}

static void another_gateway_is_asked_after_the_old_one_was_told(void **state)
{
	struct bench *b = *state;
	struct ts_addr old = addr("192.168.1.1:5351");
	struct ts_addr new = addr("10.0.0.1:5351");

	hold_by_pmp(b, 7200);
	forget_sent(b);
	set_network(b, "10.0.0.1", "10.0.0.2");
	assert_false(b->has_mapping);
	assert_true(ts_addr_equal(&b->sent[0].to, &old));
	pass(b, PORTMAP_RELEASE_TRIES * PORTMAP_RELEASE_MS);
	assert_true(ts_addr_equal(&b->sent[b->sent_count - 5].to, &new));
	assert_int_equal(b->p.state, PORTMAP_PROBING);
	set_network(b, NULL, NULL);
	assert_int_equal(b->p.state, PORTMAP_OFF);
	for (int i = 0; i < PORTMAP_KINDS; i++)
		assert_int_equal(b->found.by_kind[i], TS_UNKNOWN);
}

static void the_same_network_again_is_a_reason_to_look(void **state)
{
	struct bench *b = *state;

	hold_by_pmp(b, 7200);
	forget_sent(b);
	set_network(b, "192.168.1.1", "192.168.1.2");
	assert_int_equal(asked(b, 0, 1), 1);
	assert_true(b->has_mapping);
	setup(state);
	set_network(b, "192.168.1.1", "192.168.1.2");
	pass(b, 5000);
	assert_int_equal(b->p.state, PORTMAP_RESTING);
	forget_sent(b);
	set_network(b, "192.168.1.1", "192.168.1.2");
	assert_int_equal(b->sent_count, 5);
}

static void noise_of_any_kind_does_no_harm(void **state)
{
	struct bench *b = *state;
	uint32_t seed = 1;

	set_network(b, "192.168.1.1", "192.168.1.2");
	for (int i = 0; i < 20000; i++) {
		uint8_t r[64];
		size_t len = (size_t)(seed >> 8) % sizeof(r);

		for (size_t k = 0; k < sizeof(r); k++) {
			seed = seed * 1103515245 + 12345;
			r[k] = (uint8_t)(seed >> 16);
		}
		r[0] = seed & 1 ? 2 : 0;
		r[1] = (uint8_t)(0x80 | (seed >> 1 & 1));
		if (seed & 4)
			r[2] = r[3] = 0;
		input(b, "192.168.1.1:5351", r, len);
		pass(b, 10);
		if (b->has_http)
			http_done(b, 200, "<e/>");
		assert_true(b->sent_count < SENT_MAX);
		if (i % 100 == 0)
			forget_sent(b);
	}
}

#define CASE(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(without_a_private_gateway_nothing_is_sent),
		CASE(a_search_is_five_packets),
		CASE(silence_is_asked_again_ever_more_rarely),
		CASE(nat_pmp_is_taken_at_once),
		CASE(the_two_answers_may_come_in_any_order),
		CASE(pcp_is_taken_when_nat_pmp_is_silent),
		CASE(nat_pmp_wins_over_pcp_when_it_is_a_little_later),
		CASE(one_that_says_unsupported_is_not_a_refusal),
		CASE(the_next_kind_follows_a_refusal),
		CASE(a_refusal_may_be_faster_than_the_others_answers),
		CASE(silence_after_the_search_leads_to_the_next_kind),
		CASE(upnp_is_taken_when_both_are_silent),
		CASE(upnp_devices_may_take_their_time),
		CASE(a_lease_for_ever_is_asked_for_when_there_is_no_other),
		CASE(a_port_that_is_taken_gives_way_to_another),
		CASE(the_service_that_is_connected_is_chosen),
		CASE(a_mapping_of_no_use_is_taken_back),
		CASE(upnp_is_renewed_at_its_service),
		CASE(upnp_can_be_switched_off_at_any_time),
		CASE(a_mapping_is_renewed_at_half_of_its_life),
		CASE(an_unanswered_renewal_is_repeated_until_the_end),
		CASE(long_leases_are_not_believed_and_short_ones_not_taken),
		CASE(a_gateway_cannot_make_us_hurry),
		CASE(answers_of_strangers_are_passed_over),
		CASE(a_pcp_answer_needs_our_nonce),
		CASE(addresses_of_no_use_are_not_published),
		CASE(an_address_of_another_nat_is_published),
		CASE(a_gateway_that_starts_anew_is_asked_at_once),
		CASE(another_address_of_the_gateway_is_taken_over),
		CASE(a_mapping_is_checked_every_two_minutes),
		CASE(a_clock_that_is_a_little_off_is_no_restart),
		CASE(restarts_without_end_cost_a_question_in_four_seconds),
		CASE(nat_pmp_is_given_back),
		CASE(pcp_is_given_back_with_its_nonce),
		CASE(a_silent_gateway_does_not_hold_up_the_end),
		CASE(a_request_under_way_is_given_back_too),
		CASE(without_a_mapping_the_end_is_at_once),
		CASE(another_gateway_is_asked_after_the_old_one_was_told),
		CASE(the_same_network_again_is_a_reason_to_look),
		CASE(noise_of_any_kind_does_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
