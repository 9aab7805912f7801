/* SPDX-License-Identifier: BSD-3-Clause
 * test_dns_records.c - the records of other people's answers
 */
#include "unit/test.h"

#include <errno.h>
#include <stdio.h>

#include "core/dns/dns_records.h"
#include "dns_messages.h"

static const uint8_t ip1[] = {192, 0, 2, 1}, ip2[] = {192, 0, 2, 2};

static struct message m;

static void begin(const char *name)
{
	uint8_t query[DNS_PLAIN_QUERY_CAP];
	int len = ts_dns_write_query(7, name, DNS_TYPE_A, query,
				     sizeof(query));

	assert_true(len > 0);
	begin_answer(&m, query, (size_t)len, 0);
}

static int find(const char *name, uint16_t type, struct ts_dns_found *found)
{
	static struct ts_ip ips[4];

	*found = (struct ts_dns_found){.ips = ips, .cap = 4};
	return ts_dns_find_addresses(m.bytes, end_answer(&m), name, type,
				     found);
}

static void addresses_of_a_name(void **state)
{
	static const uint8_t v6[16] = {0x20, 1, 0xd, 0xb8};
	static const uint8_t mapped[16] = {[10] = 0xff, [11] = 0xff, [12] = 1};
	struct ts_dns_found found;

	(void)state;
	begin("a.example");
	put_record(&m, 0, "A.Example", DNS_TYPE_A, 60, ip1, 4);
	put_record(&m, 0, "b.example", DNS_TYPE_A, 60, ip2, 4);
	put_record(&m, 0, "a.example", DNS_TYPE_A, 60, ip2, 3);
	put_record(&m, 0, "a.example", DNS_TYPE_AAAA, 60, v6, 16);
	put_record(&m, 0, "a.example", DNS_TYPE_AAAA, 60, mapped, 16);
	put_record(&m, 1, "a.example", DNS_TYPE_A, 60, ip2, 4);
	put_record(&m, 2, "a.example", DNS_TYPE_A, 60, ip2, 4);
	assert_int_equal(find("a.example", DNS_TYPE_A, &found), 0);
	assert_int_equal(found.count, 1);
	assert_memory_equal(found.ips[0].bytes + 12, ip1, 4);
	assert_string_equal(found.canonical, "a.example");
	assert_int_equal(find("a.example", DNS_TYPE_AAAA, &found), 0);
	assert_int_equal(found.count, 1);
	assert_int_equal(find("c.example", DNS_TYPE_A, &found), 0);
	assert_int_equal(found.count, 0);
}

static void no_more_addresses_than_fit(void **state)
{
	struct ts_dns_found found;

	(void)state;
	begin("a.example");
	for (int i = 0; i < 100; i++)
		put_record(&m, 0, "a.example", DNS_TYPE_A, 60, ip1, 4);
	assert_int_equal(find("a.example", DNS_TYPE_A, &found), 0);
	assert_int_equal(found.count, 4);
}

/* In any order. */
static void aliases_are_followed(void **state)
{
	struct ts_dns_found found;

	(void)state;
	begin("a.example");
	put_record(&m, 0, "c.example", DNS_TYPE_A, 60, ip1, 4);
	put_alias(&m, "b.example", "C.example");
	put_alias(&m, "a.example", "b.example");
	assert_int_equal(find("a.example", DNS_TYPE_A, &found), 0);
	assert_int_equal(found.count, 1);
	assert_string_equal(found.canonical, "c.example");
	begin("a.example");
	put_alias(&m, "a.example", "elsewhere.example");
	assert_int_equal(find("a.example", DNS_TYPE_A, &found), 0);
	assert_int_equal(found.count, 0);
	assert_string_equal(found.canonical, "elsewhere.example");
}

static void rings_and_long_chains_end(void **state)
{
	struct ts_dns_found found;
	char from[32], to[32];

	(void)state;
	begin("a.example");
	put_alias(&m, "a.example", "b.example");
	put_alias(&m, "b.example", "a.example");
	assert_int_equal(find("a.example", DNS_TYPE_A, &found), -ELOOP);
	begin("0.example");
	for (int i = 0; i < 100; i++) {
		snprintf(from, sizeof(from), "%d.example", i);
		snprintf(to, sizeof(to), "%d.example", i + 1);
		put_alias(&m, from, to);
	}
	assert_int_equal(find("0.example", DNS_TYPE_A, &found), -ELOOP);
}

static void names_of_addresses(void **state)
{
	uint8_t data[64];
	struct ts_writer w = ts_writer_init(data, sizeof(data));
	char name[DNS_TEXT_CAP];

	(void)state;
	put_name(&w, "Host.Example");
	begin("1.2.0.192.in-addr.arpa");
	put_alias(&m, "1.2.0.192.in-addr.arpa", "1.0-25.2.0.192.in-addr.arpa");
	put_record(&m, 0, "1.0-25.2.0.192.in-addr.arpa", DNS_TYPE_PTR, 60,
		   data, w.len);
	assert_true(ts_dns_find_ptr(m.bytes, end_answer(&m),
				    "1.2.0.192.in-addr.arpa", name));
	assert_string_equal(name, "host.example");
	assert_false(ts_dns_find_ptr(m.bytes, end_answer(&m), "x", name));
	/* more than a name in it */
	begin("x.example");
	put_record(&m, 0, "x.example", DNS_TYPE_PTR, 60, data, w.len + 1);
	assert_false(ts_dns_find_ptr(m.bytes, end_answer(&m), "x.example",
				     name));
}

static void cut_answers_have_nothing(void **state)
{
	struct ts_ip ips[4];
	size_t len;

	(void)state;
	begin("a.example");
	put_alias(&m, "a.example", "b.example");
	put_record(&m, 0, "b.example", DNS_TYPE_A, 60, ip1, 4);
	len = end_answer(&m);
	for (size_t cut = 0; cut < len; cut++) {
		struct ts_dns_found found = {.ips = ips, .cap = 4};

		assert_true(ts_dns_find_addresses(m.bytes, cut, "a.example",
						  DNS_TYPE_A, &found) < 0);
	}
}

/* Only the question is left, and the word that there is more. */
static void answers_are_cut_off_in_order(void **state)
{
	uint8_t query[DNS_PLAIN_QUERY_CAP];
	int query_len = ts_dns_write_query(7, "a.example", DNS_TYPE_A, query,
					   sizeof(query));
	size_t len;

	(void)state;
	begin("a.example");
	for (int i = 0; i < 100; i++)
		put_record(&m, 0, "a.example", DNS_TYPE_A, 60, ip1, 4);
	len = ts_dns_cut_off(m.bytes, end_answer(&m));
	assert_int_equal(len, query_len);
	assert_int_equal(ts_dns_judge(query, len - DNS_HEADER_LEN, m.bytes,
				      len), DNS_ANSWER_CUT_OFF);
	assert_int_equal(m.bytes[7], 0); /* answers */
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(ts_dns_cut_off(m.bytes, cut), 0);
}

static void queries_of_our_own(void **state)
{
	uint8_t query[DNS_PLAIN_QUERY_CAP];
	struct ts_dns_query q;
	char name[300];
	int len;

	(void)state;
	len = ts_dns_write_query(0x1234, "A.example.", DNS_TYPE_MX, query,
				 sizeof(query));
	assert_true(len > 0);
	assert_int_equal(ts_dns_read_query(query, (size_t)len, &q), 0);
	assert_string_equal(q.name, "a.example");
	assert_int_equal(q.type, DNS_TYPE_MX);
	assert_int_equal(q.id, 0x1234);
	assert_false(q.has_edns || q.has_more);
	for (size_t cap = 0; cap < (size_t)len; cap++)
		assert_int_equal(ts_dns_write_query(1, "A.example.",
						    DNS_TYPE_MX, query, cap),
				 -EBADMSG);
	assert_true(ts_dns_write_query(1, "a..b", 1, query,
				       sizeof(query)) < 0);
	memset(name, 'a', sizeof(name));
	name[64] = '\0';
	assert_true(ts_dns_write_query(1, name, 1, query, sizeof(query)) < 0);
	for (size_t i = 0; i < sizeof(name); i++)
		name[i] = i % 2 ? '.' : 'a';
	name[299] = '\0';
	assert_true(ts_dns_write_query(1, name, 1, query, sizeof(query)) < 0);
	name[253] = '\0';
	assert_true(ts_dns_write_query(1, name, 1, query, sizeof(query)) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_of_a_name),
		cmocka_unit_test(no_more_addresses_than_fit),
		cmocka_unit_test(aliases_are_followed),
		cmocka_unit_test(rings_and_long_chains_end),
		cmocka_unit_test(names_of_addresses),
		cmocka_unit_test(cut_answers_have_nothing),
		cmocka_unit_test(answers_are_cut_off_in_order),
		cmocka_unit_test(queries_of_our_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
