/* SPDX-License-Identifier: BSD-3-Clause
 * test_portmap_search.c - what the gateway speaks, and UPnP from end to end
 */
#include "tests/unit/path/portmap_bench.h"

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
	struct ts_addr group = addr_of("239.255.255.250:1900");

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
	http_done(b, 200,
		  "<r>" SERVICE(WANIP "1", "/a") SERVICE(WANIP "1", "/b")
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
	http_done(b, 200, "<e><NewExternalIPAddress>100.70.1.2"
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

/* Whoever else answers is not believed. */
static void one_kind_alone_is_asked(void **state)
{
	struct bench *b = *state;

	ts_portmap_allow_only(&b->p, PORTMAP_PCP);
	set_network(b, "192.168.1.1", "192.168.1.2");
	assert_int_equal(b->sent_count, 1);
	assert_int_equal(asked(b, 2, 0), 1);
	pmp_external(b, 0, "203.0.113.9");
	ssdp(b);
	pass(b, PORTMAP_PROBE_MS);
	for (int i = 0; i < PORTMAP_KINDS; i++)
		assert_int_equal(b->found.by_kind[i], TS_NO);
	assert_int_equal(b->p.state, PORTMAP_RESTING);
	pass(b, PORTMAP_REST_MS);
	pcp_announce(b, 0);
	pass(b, PORTMAP_PROBE_MS);
	assert_int_equal(b->found.by_kind[PORTMAP_PCP], TS_YES);
	assert_int_equal(asked(b, 2, 1), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(without_a_private_gateway_nothing_is_sent),
		CASE(a_search_is_five_packets),
		CASE(one_kind_alone_is_asked),
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
