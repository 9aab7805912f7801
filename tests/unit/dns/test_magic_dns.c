/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/dns/dns_wire.h"
#include "core/dns/magic_dns.h"
#include "core/model/netmap_edit.h"

/* Self "me", peers "pc" (both families), "six" (v6 only) and a shared-in node
 * of another tailnet; ExtraRecords and a route to nowhere. */
struct fixture {
	struct ts_netmap *map;
	struct ts_magic_dns *dns;
};

static struct ts_peer *make_peer(int64_t id, const char *name, const char *ip1,
				 const char *ip2, const char *caps)
{
	struct ts_peer *p = ts_peer_new();

	assert_non_null(p);
	p->id = id;
	memset(p->key.bytes, (int)id, sizeof(p->key.bytes));
	p->name = strdup(name);
	p->addresses = calloc(2, sizeof(*p->addresses));
	for (int i = 0; i < 2; i++) {
		const char *text = i ? ip2 : ip1;

		if (text)
			assert_int_equal(ts_prefix_parse(text,
				&p->addresses[p->address_count++]), 0);
	}
	p->cap_map = caps ? json_loads(caps, 0, NULL) : NULL;
	return p;
}

static struct ts_dns_config *make_config(bool proxied)
{
	static const char *const records[][3] = {
		{"db.corp.example", "A", "10.0.0.5"},
		{"db.corp.example", "", "10.0.0.6"},
		{"db.corp.example", "AAAA", "2001:db8::5"},
		{"txt.corp.example", "TXT", "no address"},
		{"bad.corp.example", "A", "not an ip"},
	};
	struct ts_dns_config *c = calloc(1, sizeof(*c));

	assert_non_null(c);
	c->magic_dns = proxied;
	c->search_domains = calloc(2, sizeof(char *));
	c->search_domains[0] = strdup("tail1.ts.net");
	c->search_domains[1] = strdup("corp.example");
	c->search_domain_count = 2;
	c->extra_record_count = 5;
	c->extra_records = calloc(5, sizeof(*c->extra_records));
	for (int i = 0; i < 5; i++) {
		c->extra_records[i].name = strdup(records[i][0]);
		c->extra_records[i].type = strdup(records[i][1]);
		c->extra_records[i].value = strdup(records[i][2]);
	}
	c->raw = json_loads("{\"Routes\":{\"nowhere.example.\":null,"
			    "\"routed.example\":[{\"Addr\":\"10.0.0.1\"}]}}",
			    0, NULL);
	return c;
}

static void add_peer(struct fixture *f, struct ts_peer *p)
{
	assert_int_equal(ts_netmap_add_peer(f->map, p), 0);
}

static struct fixture make_fixture(bool proxied)
{
	struct fixture f = {ts_netmap_new(), ts_magic_dns_new()};

	assert_non_null(f.map);
	assert_non_null(f.dns);
	f.map->self = make_peer(1, "me.tail1.ts.net.", "100.64.0.1/32",
				"fd7a:115c:a1e0::1/128", NULL);
	add_peer(&f, make_peer(2, "Pc.tail1.ts.net.", "100.64.0.2/32",
			       "fd7a:115c:a1e0:ab12:4843:cd96:6240:2/128",
			       NULL));
	add_peer(&f, make_peer(3, "six.tail1.ts.net.", NULL,
			       "fd7a:115c:a1e0::3/128", NULL));
	add_peer(&f, make_peer(4, "web.other.ts.net.", "100.64.0.4/32", NULL,
			       "{\"dns-subdomain-resolve\":[]}"));
	f.map->dns = make_config(proxied);
	assert_int_equal(ts_magic_dns_set_config(f.dns, f.map), 0);
	return f;
}

static void free_fixture(struct fixture *f)
{
	ts_magic_dns_free(f->dns);
	ts_netmap_free(f->map);
}

static void assert_found(const struct fixture *f, const char *name, bool v4,
			 bool v6, const char *canonical, const char *addrs)
{
	struct ts_dns_result r;
	char text[TS_MAGIC_DNS_ADDRS_MAX * TS_IP_TEXT_CAP] = "";

	assert_int_equal(ts_magic_dns_lookup(f->dns, name, v4, v6, &r),
			 TS_DNS_FOUND);
	for (size_t i = 0; i < r.count; i++) {
		char ip[TS_IP_TEXT_CAP];

		strcat(text, i ? " " : "");
		strcat(text, ts_ip_format(&r.addrs[i], ip));
	}
	assert_string_equal(text, addrs);
	assert_string_equal(r.canonical, canonical);
}

static void assert_answer(const struct fixture *f, const char *name,
			  enum ts_dns_answer want)
{
	struct ts_dns_result r;

	assert_int_equal(ts_magic_dns_lookup(f->dns, name, true, true, &r),
			 want);
	if (want != TS_DNS_FOUND)
		assert_int_equal(r.count, 0);
}

static void lookups_in_the_process(void **state)
{
	struct fixture f = make_fixture(true);

	(void)state;
	assert_found(&f, "pc.tail1.ts.net", true, true, "pc.tail1.ts.net",
		     "100.64.0.2 fd7a:115c:a1e0:ab12:4843:cd96:6240:2");
	assert_found(&f, "PC.Tail1.TS.net.", true, false, "pc.tail1.ts.net",
		     "100.64.0.2");
	assert_found(&f, "pc", false, true, "pc.tail1.ts.net",
		     "fd7a:115c:a1e0:ab12:4843:cd96:6240:2");
	assert_found(&f, "me", true, false, "me.tail1.ts.net", "100.64.0.1");
	assert_found(&f, "six", true, false, "six.tail1.ts.net", "");
	assert_found(&f, "db", true, true, "db.corp.example",
		     "10.0.0.5 10.0.0.6 2001:db8::5");
	assert_found(&f, "web.other.ts.net", true, true, "web.other.ts.net",
		     "100.64.0.4");
	assert_found(&f, "a.b.web.other.ts.net", true, true,
		     "a.b.web.other.ts.net", "100.64.0.4");
	assert_answer(&f, "web", TS_DNS_NOT_OURS); /* not our suffix */
	assert_answer(&f, "pc.", TS_DNS_NOT_OURS); /* absolute */
	assert_answer(&f, "x.tail1.ts.net", TS_DNS_NXDOMAIN);
	assert_answer(&f, "a.pc.tail1.ts.net", TS_DNS_NXDOMAIN);
	assert_answer(&f, "x.nowhere.example", TS_DNS_NXDOMAIN);
	assert_answer(&f, "x.routed.example", TS_DNS_NOT_OURS);
	assert_answer(&f, "sub.db.corp.example", TS_DNS_NXDOMAIN);
	assert_answer(&f, "txt.corp.example", TS_DNS_NOT_OURS);
	assert_answer(&f, "hidden.onion", TS_DNS_NXDOMAIN);
	assert_answer(&f, "example.com", TS_DNS_NOT_OURS);
	assert_answer(&f, "nottail1.ts.net", TS_DNS_NOT_OURS);
	free_fixture(&f);
}

static void hostile_names_are_not_ours(void **state)
{
	struct fixture f = make_fixture(true);
	char name[600];

	(void)state;
	assert_answer(&f, "", TS_DNS_NOT_OURS);
	assert_answer(&f, ".", TS_DNS_NOT_OURS);
	assert_answer(&f, "..", TS_DNS_NOT_OURS);
	assert_answer(&f, "pc..tail1.ts.net", TS_DNS_NOT_OURS);
	assert_answer(&f, "p c", TS_DNS_NOT_OURS);
	memset(name, 'a', sizeof(name));
	for (size_t len = 60; len < sizeof(name); len++) {
		memset(name, 'a', len);
		for (size_t i = 60; i < len; i += 60)
			name[i] = '.';
		name[len] = '\0';
		assert_answer(&f, name, TS_DNS_NOT_OURS);
		if (len + 1 == sizeof(name))
			break;
	}
	free_fixture(&f);
}

static void four_via_six_names(void **state)
{
	struct fixture f = make_fixture(true);

	(void)state;
	assert_found(&f, "10-1-1-2-via-7", true, true, "10-1-1-2-via-7",
		     "fd7a:115c:a1e0:b1a:0:7:a01:102");
	assert_found(&f, "10-1-1-2-via-0x10.tail1.ts.net", true, true,
		     "10-1-1-2-via-0x10.tail1.ts.net",
		     "fd7a:115c:a1e0:b1a:0:10:a01:102");
	assert_found(&f, "10-1-1-2-via-7", true, false, "10-1-1-2-via-7", "");
	assert_answer(&f, "10-1-1-2-via-7.example.com", TS_DNS_NOT_OURS);
	assert_answer(&f, "10-1-1-via-7", TS_DNS_NOT_OURS);
	assert_answer(&f, "10-1-1-2-via-", TS_DNS_NOT_OURS);
	assert_answer(&f, "10-1-1-2-via-4294967296", TS_DNS_NOT_OURS);
	assert_answer(&f, "10-1-1-2-via-0x", TS_DNS_NOT_OURS);
	assert_answer(&f, "x.10-1-1-2-via-7", TS_DNS_NOT_OURS);
	free_fixture(&f);
}

static void reverse_names(void **state)
{
	struct fixture f = make_fixture(true);
	struct ts_ip ip;

	(void)state;
	ts_ip_parse("100.64.0.2", &ip);
	assert_string_equal(ts_magic_dns_reverse(f.dns, &ip),
			    "pc.tail1.ts.net");
	ts_ip_parse("fd7a:115c:a1e0:ab12:4843:cd96:6240:4", &ip);
	assert_string_equal(ts_magic_dns_reverse(f.dns, &ip),
			    "web.other.ts.net"); /* derived from its IPv4 */
	ts_ip_parse("100.100.100.100", &ip);
	assert_string_equal(ts_magic_dns_reverse(f.dns, &ip),
			    "magicdns.localhost-tailscale-daemon");
	ts_ip_parse("100.64.0.99", &ip);
	assert_null(ts_magic_dns_reverse(f.dns, &ip));
	free_fixture(&f);
}

static void deltas_touch_one_node(void **state)
{
	struct fixture f = make_fixture(true);
	struct ts_peer *p = ts_netmap_peer_by_id(f.map, 2);
	struct ts_peer *renamed = make_peer(2, "laptop.tail1.ts.net.",
					    "100.64.0.22/32", NULL, NULL);
	struct ts_ip ip;

	(void)state;
	assert_int_equal(ts_magic_dns_upsert(f.dns, renamed), 0);
	assert_answer(&f, "pc", TS_DNS_NOT_OURS);
	assert_found(&f, "laptop", true, true, "laptop.tail1.ts.net",
		     "100.64.0.22");
	ts_ip_parse("100.64.0.2", &ip);
	assert_null(ts_magic_dns_reverse(f.dns, &ip));
	ts_magic_dns_remove(f.dns, renamed);
	assert_answer(&f, "laptop", TS_DNS_NOT_OURS);
	ts_magic_dns_remove(f.dns, renamed); /* twice is fine */
	assert_int_equal(ts_magic_dns_upsert(f.dns, p), 0);
	assert_found(&f, "pc", true, false, "pc.tail1.ts.net", "100.64.0.2");
	ts_peer_free(renamed);
	free_fixture(&f);
}

static void new_configuration_replaces_the_old(void **state)
{
	struct fixture f = make_fixture(true);
	struct ts_peer *p = ts_netmap_peer_by_id(f.map, 2);

	(void)state;
	ts_netmap_take_peer(f.map, p);
	ts_peer_free(p);
	ts_dns_config_free(f.map->dns);
	f.map->dns = NULL;
	assert_int_equal(ts_magic_dns_set_config(f.dns, f.map), 0);
	assert_answer(&f, "pc", TS_DNS_NOT_OURS);
	assert_answer(&f, "db.corp.example", TS_DNS_NOT_OURS);
	assert_answer(&f, "x.tail1.ts.net", TS_DNS_NOT_OURS);
	assert_found(&f, "six", false, true, "six.tail1.ts.net",
		     "fd7a:115c:a1e0::3");
	assert_string_equal(ts_magic_dns_suffix(f.dns), "tail1.ts.net");
	free_fixture(&f);
}

static void two_nodes_may_claim_a_name(void **state)
{
	struct fixture f = make_fixture(true);
	struct ts_peer *twin = make_peer(9, "pc.tail1.ts.net.",
					 "100.64.0.9/32", NULL, NULL);

	(void)state;
	assert_int_equal(ts_magic_dns_upsert(f.dns, twin), 0);
	assert_found(&f, "pc", true, false, "pc.tail1.ts.net", "100.64.0.2");
	ts_magic_dns_remove(f.dns, ts_netmap_peer_by_id(f.map, 2));
	assert_found(&f, "pc", true, false, "pc.tail1.ts.net", "100.64.0.9");
	ts_peer_free(twin);
	free_fixture(&f);
}

/* -- messages ------------------------------------------------------------- */
static size_t make_query(uint8_t *out, const char *name, uint16_t type,
			 uint16_t edns)
{
	struct ts_writer w = ts_writer_init(out, 512);

	ts_write_be16(&w, 0xabcd);
	ts_write_be16(&w, DNS_FLAG_RECURSION_DESIRED);
	ts_write_be16(&w, 1);
	ts_write_be32(&w, 0);
	ts_write_be16(&w, edns ? 1 : 0);
	while (*name) {
		size_t n = strcspn(name, ".");

		ts_write_u8(&w, (uint8_t)n);
		ts_write_bytes(&w, name, n);
		name += n + (name[n] == '.');
	}
	ts_write_u8(&w, 0);
	ts_write_be16(&w, type);
	ts_write_be16(&w, DNS_CLASS_IN);
	if (edns) {
		ts_write_u8(&w, 0);
		ts_write_be16(&w, DNS_TYPE_OPT);
		ts_write_be16(&w, edns);
		ts_write_zeros(&w, 6);
	}
	assert_false(w.bad);
	return w.len;
}

struct reply {
	uint8_t msg[4096];
	int len;
	unsigned rcode, answers, authorities;
	bool is_truncated;
};

static struct reply ask(const struct fixture *f, const char *name,
			uint16_t type)
{
	struct reply r = {0};
	uint8_t q[512];
	size_t len = make_query(q, name, type, 0);

	r.len = ts_magic_dns_answer(f->dns, q, len, true, r.msg, sizeof(r.msg));
	if (r.len > 0) {
		assert_int_equal(r.msg[0] << 8 | r.msg[1], 0xabcd);
		r.rcode = r.msg[3] & 0xf;
		r.answers = r.msg[7];
		r.authorities = r.msg[9];
		r.is_truncated = r.msg[2] & 2;
	}
	return r;
}

static void address_queries(void **state)
{
	struct fixture f = make_fixture(true);
	struct reply r = ask(&f, "PC.tail1.ts.net", DNS_TYPE_A);

	(void)state;
	assert_int_equal(r.rcode, DNS_NOERROR);
	assert_int_equal(r.answers, 1);
	assert_memory_equal(r.msg + r.len - 4, "\144\100\0\2", 4);
	assert_memory_equal(r.msg + r.len - 10, "\0\0\0\5", 4); /* TTL 5 s */
	r = ask(&f, "pc", DNS_TYPE_A);
	assert_int_equal(r.answers, 1);
	/* a peer with IPv4 hides its IPv6 from DNS */
	r = ask(&f, "pc.tail1.ts.net", DNS_TYPE_AAAA);
	assert_int_equal(r.rcode, DNS_NOERROR);
	assert_int_equal(r.answers, 0);
	assert_int_equal(r.authorities, 1);
	r = ask(&f, "six.tail1.ts.net", DNS_TYPE_AAAA);
	assert_int_equal(r.answers, 1);
	r = ask(&f, "db.corp.example", DNS_TYPE_A);
	assert_int_equal(r.answers, 2);
	r = ask(&f, "10-1-1-2-via-7", DNS_TYPE_A);
	assert_int_equal(r.rcode, DNS_NOERROR);
	assert_int_equal(r.answers, 0);
	r = ask(&f, "magicdns.localhost-tailscale-daemon", DNS_TYPE_AAAA);
	assert_int_equal(r.answers, 1);
	free_fixture(&f);
}

static void aaaa_when_the_tailnet_wants_it(void **state)
{
	struct fixture f = make_fixture(true);
	struct reply r;

	(void)state;
	f.map->self->cap_map = json_loads("{\"magicdns-aaaa\":null}", 0, NULL);
	assert_int_equal(ts_magic_dns_set_config(f.dns, f.map), 0);
	r = ask(&f, "pc.tail1.ts.net", DNS_TYPE_AAAA);
	assert_int_equal(r.answers, 1);
	free_fixture(&f);
}

static void node_with_ipv6_only_sees_ipv6_only(void **state)
{
	struct fixture f = make_fixture(true);
	struct reply r;

	(void)state;
	ts_peer_free(f.map->self);
	f.map->self = make_peer(1, "me.tail1.ts.net.", NULL,
				"fd7a:115c:a1e0::1/128", NULL);
	assert_int_equal(ts_magic_dns_set_config(f.dns, f.map), 0);
	r = ask(&f, "pc.tail1.ts.net", DNS_TYPE_AAAA);
	assert_int_equal(r.answers, 1);
	r = ask(&f, "pc.tail1.ts.net", DNS_TYPE_A);
	assert_int_equal(r.answers, 0);
	free_fixture(&f);
}

static void negative_and_forwarded_queries(void **state)
{
	struct fixture f = make_fixture(true);
	struct reply r = ask(&f, "x.tail1.ts.net", DNS_TYPE_A);

	(void)state;
	assert_int_equal(r.rcode, DNS_NXDOMAIN);
	assert_int_equal(r.authorities, 1);
	assert_memory_equal(r.msg + r.len - 4, "\0\0\0\12", 4); /* 10 s */
	assert_int_equal(ask(&f, "a.onion", DNS_TYPE_A).rcode, DNS_NXDOMAIN);
	assert_int_equal(ask(&f, "pc.tail1.ts.net", DNS_TYPE_NS).rcode,
			 DNS_NOTIMP);
	r = ask(&f, "pc.tail1.ts.net", 16); /* TXT */
	assert_int_equal(r.rcode, DNS_NOERROR);
	assert_int_equal(r.answers, 0);
	assert_int_equal(ask(&f, "example.com", DNS_TYPE_A).len, 0);
	assert_int_equal(ask(&f, "example.com", DNS_TYPE_NS).len, 0);
	assert_int_equal(ask(&f, "", DNS_TYPE_NS).len, 0);
	free_fixture(&f);
}

static void without_magic_dns_short_names_are_forwarded(void **state)
{
	struct fixture f = make_fixture(false);

	(void)state;
	assert_int_equal(ask(&f, "pc", DNS_TYPE_A).len, 0);
	assert_int_equal(ask(&f, "x.tail1.ts.net", DNS_TYPE_A).len, 0);
	assert_int_equal(ask(&f, "pc.tail1.ts.net", DNS_TYPE_A).answers, 1);
	assert_found(&f, "pc", true, false, "pc.tail1.ts.net", "100.64.0.2");
	free_fixture(&f);
}

static void pointer_queries(void **state)
{
	struct fixture f = make_fixture(true);
	struct reply r = ask(&f, "2.0.64.100.in-addr.arpa", DNS_TYPE_PTR);

	(void)state;
	assert_int_equal(r.answers, 1);
	assert_memory_equal(r.msg + r.len - 17,
			    "\2pc\5tail1\2ts\3net\0", 17);
	r = ask(&f, "9.9.64.100.in-addr.arpa", DNS_TYPE_PTR);
	assert_int_equal(r.rcode, DNS_NXDOMAIN);
	assert_int_equal(r.authorities, 1);
	assert_int_equal(ask(&f, "8.8.8.8.in-addr.arpa", DNS_TYPE_PTR).len, 0);
	assert_int_equal(ask(&f, "b._dns-sd._udp.example", DNS_TYPE_PTR).len,
			 0);
	free_fixture(&f);
}

static void ipv6_pointer_query(void **state)
{
	struct fixture f = make_fixture(true);
	const char *name = "3.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0."
			   "0.e.1.a.c.5.1.1.a.7.d.f.ip6.arpa";
	struct reply r = ask(&f, name + 2, DNS_TYPE_PTR);

	(void)state;
	assert_int_equal(r.len, 0); /* 31 nibbles are no address */
	r = ask(&f, name, DNS_TYPE_PTR);
	assert_int_equal(r.answers, 1);
	assert_memory_equal(r.msg + r.len - 18,
			    "\3six\5tail1\2ts\3net\0", 18);
	free_fixture(&f);
}

static void malformed_queries_get_a_format_error(void **state)
{
	struct fixture f = make_fixture(true);
	uint8_t q[512], out[512];
	size_t len = make_query(q, "pc.tail1.ts.net", DNS_TYPE_A, 1232);

	(void)state;
	for (size_t cut = 0; cut < len; cut++) {
		uint8_t *copy = malloc(cut + 1);
		int n;

		assert_non_null(copy);
		memcpy(copy, q, cut);
		n = ts_magic_dns_answer(f.dns, copy, cut, true, out,
					sizeof(out));
		if (cut < DNS_HEADER_LEN) {
			assert_int_equal(n, -EBADMSG);
		} else {
			assert_true(n >= DNS_HEADER_LEN);
			assert_int_equal(out[3] & 0xf, DNS_FORMERR);
		}
		free(copy);
	}
	free_fixture(&f);
}

static void answers_obey_the_askers_size(void **state)
{
	struct fixture f = make_fixture(true);
	uint8_t q[512], out[4096];
	size_t len = make_query(q, "db.corp.example", DNS_TYPE_A, 0);
	int n = ts_magic_dns_answer(f.dns, q, len, true, out, 50);

	(void)state;
	assert_int_equal(n, (int)len);
	assert_int_equal(out[2] & 2, 2); /* truncated */
	n = ts_magic_dns_answer(f.dns, q, len, false, out, sizeof(out));
	assert_int_equal(n, (int)len + 32);
	assert_int_equal(out[2] & 2, 0);
	free_fixture(&f);
}

static void expired_node_answers_nothing(void **state)
{
	struct fixture f = make_fixture(true);

	(void)state;
	f.map->self->expired = true;
	assert_int_equal(ts_magic_dns_set_config(f.dns, f.map), 0);
	assert_answer(&f, "pc.tail1.ts.net", TS_DNS_NOT_OURS);
	free_fixture(&f);
}

/* CorpDNS off: nodes and records are all there is. */
static void without_the_tailnets_dns(void **state)
{
	struct fixture f = make_fixture(true);

	(void)state;
	assert_string_equal(ts_magic_dns_search_domain(f.dns, 1),
			    "corp.example");
	assert_null(ts_magic_dns_search_domain(f.dns, 2));
	ts_magic_dns_accept(f.dns, false);
	assert_int_equal(ts_magic_dns_set_config(f.dns, f.map), 0);
	assert_answer(&f, "pc.tail1.ts.net", TS_DNS_FOUND);
	assert_answer(&f, "db.corp.example", TS_DNS_FOUND);
	assert_answer(&f, "nobody.tail1.ts.net", TS_DNS_NOT_OURS);
	assert_answer(&f, "x.nowhere.example", TS_DNS_NOT_OURS);
	assert_null(ts_magic_dns_search_domain(f.dns, 0));
	free_fixture(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lookups_in_the_process),
		cmocka_unit_test(hostile_names_are_not_ours),
		cmocka_unit_test(four_via_six_names),
		cmocka_unit_test(reverse_names),
		cmocka_unit_test(deltas_touch_one_node),
		cmocka_unit_test(new_configuration_replaces_the_old),
		cmocka_unit_test(two_nodes_may_claim_a_name),
		cmocka_unit_test(address_queries),
		cmocka_unit_test(aaaa_when_the_tailnet_wants_it),
		cmocka_unit_test(node_with_ipv6_only_sees_ipv6_only),
		cmocka_unit_test(negative_and_forwarded_queries),
		cmocka_unit_test(without_magic_dns_short_names_are_forwarded),
		cmocka_unit_test(pointer_queries),
		cmocka_unit_test(ipv6_pointer_query),
		cmocka_unit_test(malformed_queries_get_a_format_error),
		cmocka_unit_test(answers_obey_the_askers_size),
		cmocka_unit_test(expired_node_answers_nothing),
		cmocka_unit_test(without_the_tailnets_dns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
