/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/dns/dns_wire.h"

/* RFC 1035 section 4.1.4: F.ISI.ARPA at 20, FOO.F.ISI.ARPA at 40, ARPA at 64,
 * the root at 92 */
static void rfc_1035_example(uint8_t msg[static 93])
{
	memset(msg, 0, 93);
	memcpy(msg + 20, "\1F\3ISI\4ARPA\0", 12);
	memcpy(msg + 40, "\3FOO\300\24", 6);
	memcpy(msg + 64, "\300\32", 2);
}

static void names_of_rfc_1035(void **state)
{
	static const struct {
		size_t at, after;
		const char *text;
	} cases[] = {
		{20, 32, "f.isi.arpa"},
		{40, 46, "foo.f.isi.arpa"},
		{64, 66, "arpa"},
		{92, 93, ""},
	};
	uint8_t msg[93];
	char text[DNS_TEXT_CAP];
	bool is_odd;

	(void)state;
	rfc_1035_example(msg);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t pos = cases[i].at;

		assert_int_equal(ts_dns_read_name(msg, sizeof(msg), &pos, text,
						  &is_odd), 0);
		assert_string_equal(text, cases[i].text);
		assert_int_equal(pos, cases[i].after);
		assert_false(is_odd);
	}
}

static int read_at(const uint8_t *msg, size_t len, size_t pos)
{
	char text[DNS_TEXT_CAP];
	bool is_odd;

	return ts_dns_read_name(msg, len, &pos, text, &is_odd);
}

static void pointers_go_backwards_only(void **state)
{
	uint8_t msg[64] = {0};

	(void)state;
	memcpy(msg + 20, "\300\24", 2); /* to itself */
	assert_int_equal(read_at(msg, sizeof(msg), 20), -EBADMSG);
	memcpy(msg + 20, "\300\36", 2); /* forwards */
	assert_int_equal(read_at(msg, sizeof(msg), 20), -EBADMSG);
	memcpy(msg + 20, "\300\4", 2); /* into the header */
	assert_int_equal(read_at(msg, sizeof(msg), 20), -EBADMSG);
	memcpy(msg + 20, "\1a\300\24", 4); /* into its own start: a loop */
	assert_int_equal(read_at(msg, sizeof(msg), 20), -EBADMSG);
	memcpy(msg + 20, "\100a", 2); /* the reserved label types */
	assert_int_equal(read_at(msg, sizeof(msg), 20), -EBADMSG);
}

static void longest_name_and_one_more(void **state)
{
	uint8_t msg[400] = {0};
	size_t at = 12;

	(void)state;
	for (int i = 0; i < 3; i++, at += 64) {
		msg[at] = 63;
		memset(msg + at + 1, 'x', 63);
	}
	msg[at] = 61; /* 3 * 64 + 62 + 1 = 255 */
	memset(msg + at + 1, 'y', 61);
	assert_int_equal(read_at(msg, sizeof(msg), 12), 0);
	msg[at] = 62;
	memset(msg + at + 1, 'y', 62);
	assert_int_equal(read_at(msg, sizeof(msg), 12), -EBADMSG);
}

static void odd_bytes_are_marked(void **state)
{
	uint8_t msg[32] = {0};
	char text[DNS_TEXT_CAP];
	bool is_odd;
	size_t pos = 12;

	(void)state;
	memcpy(msg + 12, "\3a.b\0", 5);
	assert_int_equal(ts_dns_read_name(msg, sizeof(msg), &pos, text,
					  &is_odd), 0);
	assert_true(is_odd);
}

/* "Pc.Example" A IN, recursion desired, with EDNS 1232 */
static const uint8_t query[] = {
	0x12, 0x34, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 1,
	2, 'P', 'c', 7, 'E', 'x', 'a', 'm', 'p', 'l', 'e', 0, 0, 1, 0, 1,
	0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0,
};

static void query_with_edns(void **state)
{
	struct ts_dns_query q;

	(void)state;
	assert_int_equal(ts_dns_read_query(query, sizeof(query), &q), 0);
	assert_int_equal(q.id, 0x1234);
	assert_string_equal(q.name, "pc.example");
	assert_int_equal(q.type, DNS_TYPE_A);
	assert_int_equal(q.class, DNS_CLASS_IN);
	assert_true(q.has_edns);
	assert_int_equal(q.udp_size, 1232);
}

static void query_cut_at_each_length(void **state)
{
	struct ts_dns_query q;

	(void)state;
	for (size_t cut = 0; cut < sizeof(query); cut++) {
		uint8_t *copy = malloc(cut + 1);

		assert_non_null(copy);
		memcpy(copy, query, cut);
		assert_int_equal(ts_dns_read_query(copy, cut, &q),
				 cut < DNS_HEADER_LEN ? -EBADMSG : -EPROTO);
		free(copy);
	}
}

static void responses_are_not_answered(void **state)
{
	uint8_t msg[sizeof(query)];
	struct ts_dns_query q;

	(void)state;
	memcpy(msg, query, sizeof(msg));
	msg[2] |= 0x80;
	assert_int_equal(ts_dns_read_query(msg, sizeof(msg), &q), -EBADMSG);
}

static void two_questions_are_a_format_error(void **state)
{
	uint8_t msg[sizeof(query)];
	struct ts_dns_query q;

	(void)state;
	memcpy(msg, query, sizeof(msg));
	msg[5] = 2;
	assert_int_equal(ts_dns_read_query(msg, sizeof(msg), &q), -EPROTO);
	assert_int_equal(q.id, 0x1234);
}

static void response_echoes_the_question(void **state)
{
	static const uint8_t want[] = {
		0x12, 0x34, 0x85, 0x80, 0, 1, 0, 1, 0, 0, 0, 1,
		2, 'P', 'c', 7, 'E', 'x', 'a', 'm', 'p', 'l', 'e', 0,
		0, 1, 0, 1,
		0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 100, 64, 0, 1,
		0, 0, 41, 0x0f, 0xff, 0, 0, 0, 0, 0, 0,
	};
	uint8_t out[512];
	struct ts_dns_query q;
	struct ts_dns_response r;
	struct ts_ip ip = ts_ip_from_v4((const uint8_t[]){100, 64, 0, 1});

	(void)state;
	assert_int_equal(ts_dns_read_query(query, sizeof(query), &q), 0);
	ts_dns_response_init(&r, &q, DNS_NOERROR, out, sizeof(out));
	ts_dns_add_ip(&r, &ip, 5);
	assert_int_equal(ts_dns_response_finish(&r), sizeof(want));
	assert_memory_equal(out, want, sizeof(want));
}

static void too_long_a_response_is_truncated(void **state)
{
	uint8_t out[sizeof(query)];
	struct ts_dns_query q;
	struct ts_dns_response r;
	struct ts_ip ip = ts_ip_from_v4((const uint8_t[]){100, 64, 0, 1});

	(void)state;
	assert_int_equal(ts_dns_read_query(query, sizeof(query), &q), 0);
	ts_dns_response_init(&r, &q, DNS_NOERROR, out, sizeof(out));
	ts_dns_add_ip(&r, &ip, 5);
	assert_int_equal(ts_dns_response_finish(&r), sizeof(query));
	assert_int_equal(out[2] & 0x02, 0x02);
	assert_int_equal(out[7], 0);
	ts_dns_response_init(&r, &q, DNS_NOERROR, out, 20);
	assert_int_equal(ts_dns_response_finish(&r), -ENOBUFS);
}

/* -- answers of others ---------------------------------------------------- */

enum { QUESTION_LEN = 16 }; /* Pc.Example, A, IN */

static enum ts_dns_verdict judge(const uint8_t *msg, size_t len)
{
	return ts_dns_judge(query, QUESTION_LEN, msg, len);
}

/* The query with the response bit and these flags besides. */
static void make_answer(uint8_t out[static sizeof(query)], uint16_t flags)
{
	memcpy(out, query, sizeof(query));
	out[2] = (uint8_t)(0x80 | flags >> 8);
	out[3] = (uint8_t)flags;
}

static void answers_are_judged(void **state)
{
	uint8_t msg[sizeof(query)];

	(void)state;
	assert_int_equal(judge(query, sizeof(query)), DNS_ANSWER_FOREIGN);
	make_answer(msg, 0);
	assert_int_equal(judge(msg, sizeof(msg)), DNS_ANSWER_GOOD);
	msg[13] = 'p'; /* in another case */
	assert_int_equal(judge(msg, sizeof(msg)), DNS_ANSWER_GOOD);
	msg[13] = 'q';
	assert_int_equal(judge(msg, sizeof(msg)), DNS_ANSWER_FOREIGN);
	make_answer(msg, DNS_NXDOMAIN);
	assert_int_equal(judge(msg, sizeof(msg)), DNS_ANSWER_GOOD);
	make_answer(msg, DNS_FLAG_TRUNCATED);
	assert_int_equal(judge(msg, sizeof(msg)), DNS_ANSWER_CUT_OFF);
	make_answer(msg, DNS_REFUSED);
	assert_int_equal(judge(msg, sizeof(msg)), DNS_ANSWER_EXCUSE);
	msg[1] ^= 1;
	assert_int_equal(judge(msg, sizeof(msg)), DNS_ANSWER_FOREIGN);
	make_answer(msg, 0);
	msg[5] = 0; /* no question */
	assert_int_equal(judge(msg, DNS_HEADER_LEN), DNS_ANSWER_FOREIGN);
	msg[3] = DNS_SERVFAIL;
	assert_int_equal(judge(msg, DNS_HEADER_LEN), DNS_ANSWER_EXCUSE);
	msg[3] = DNS_FORMERR;
	assert_int_equal(judge(msg, DNS_HEADER_LEN), DNS_ANSWER_GOOD);
}

static void answers_cut_at_each_length(void **state)
{
	uint8_t msg[sizeof(query)];

	(void)state;
	make_answer(msg, 0);
	for (size_t cut = 0; cut < DNS_HEADER_LEN + QUESTION_LEN; cut++)
		assert_int_equal(judge(msg, cut), DNS_ANSWER_FOREIGN);
	assert_int_equal(judge(msg, DNS_HEADER_LEN + QUESTION_LEN),
			 DNS_ANSWER_GOOD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_of_rfc_1035),
		cmocka_unit_test(pointers_go_backwards_only),
		cmocka_unit_test(longest_name_and_one_more),
		cmocka_unit_test(odd_bytes_are_marked),
		cmocka_unit_test(query_with_edns),
		cmocka_unit_test(query_cut_at_each_length),
		cmocka_unit_test(responses_are_not_answered),
		cmocka_unit_test(two_questions_are_a_format_error),
		cmocka_unit_test(response_echoes_the_question),
		cmocka_unit_test(too_long_a_response_is_truncated),
		cmocka_unit_test(answers_are_judged),
		cmocka_unit_test(answers_cut_at_each_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
