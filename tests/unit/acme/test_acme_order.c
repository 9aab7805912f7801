/* SPDX-License-Identifier: BSD-3-Clause
 * One certificate from a CA that the test plays, on a clock of its own.
 */
#include "unit/test.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>

#include "core/acme/acme_jws.h"
#include "core/acme/acme_order.h"
#include "unit/acme/test_ca.h"

#define CA "https://ca.test"
#define DOMAIN "web.tail.ts.net"

enum { NOW = 1750000000, DAY = 86400 };

struct bench {
	struct ts_acme_order *order;
	struct ts_acme_key *account;
	struct ts_acme_step step;
	struct test_ca ca;
	uint64_t now_ms;
	unsigned nonces;
	char *csr;
	bool by_alpn;
};

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	b->account = ts_acme_key_new();
	b->now_ms = 1000;
	ca_open(&b->ca, NOW);
	*state = b;
	return 0;
}

static void begin(struct bench *b, const char *domain, const char *replaces)
{
	const struct ts_acme_want want = {
		.directory_url = CA "/dir",
		.domain = domain,
		.replaces = replaces,
		.by_alpn = b->by_alpn,
	};

	b->order = ts_acme_order_new(&want, b->account, b->now_ms);
	assert_non_null(b->order);
}

static int teardown(void **state)
{
	struct bench *b = *state;

	free(b->step.body);
	ts_acme_order_free(b->order);
	ts_acme_key_free(b->account);
	ca_close(&b->ca);
	free(b->csr);
	free(b);
	return 0;
}

static void next(struct bench *b, enum ts_acme_step_kind kind)
{
	free(b->step.body);
	ts_acme_order_next(b->order, b->now_ms, &b->step);
	assert_int_equal(b->step.kind, kind);
}

/* The next request is this one. */
static void wants(struct bench *b, const char *method, const char *url)
{
	next(b, TS_ACME_CALL);
	assert_string_equal(b->step.method, method);
	assert_string_equal(b->step.url, url);
}

static void reply_all(struct bench *b, int status, const char *body,
		      const char *location, const char *retry_after,
		      bool has_nonce)
{
	char nonce[32] = "";
	struct ts_acme_reply reply = {.status = status,
				      .body = body,
				      .len = strlen(body),
				      .error = status ? NULL : "no route",
				      .nonce = nonce,
				      .location = location,
				      .retry_after = retry_after};

	if (has_nonce)
		snprintf(nonce, sizeof(nonce), "nonce-%u", ++b->nonces);
	ts_acme_order_reply(b->order, &reply, b->now_ms, NOW);
}

static void reply(struct bench *b, int status, const char *body)
{
	reply_all(b, status, body, "", "", true);
}

static void fails(struct bench *b, const char *words)
{
	next(b, TS_ACME_FAILED);
	if (!strstr(ts_acme_order_error(b->order), words))
		fail_msg("%s", ts_acme_order_error(b->order));
}

/* A member of the signed request's payload, or of its protected header. */
static json_t *part_of(const struct bench *b, const char *part)
{
	json_t *jws = json_loads(b->step.body, 0, NULL);
	char *text = strdup(json_string_value(json_object_get(jws, part)));
	size_t n = strlen(text), len;
	uint8_t *out;
	json_t *json;

	text = realloc(text, n + 4);
	for (size_t i = 0; i < n; i++)
		text[i] = text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i];
	while (n % 4)
		text[n++] = '=';
	assert_int_equal(ts_base64_decode(text, n, &out, &len), 0);
	json = json_loadb((char *)out, len, 0, NULL);
	free(out);
	free(text);
	json_decref(jws);
	return json;
}

static void nonce_is(const struct bench *b, const char *want)
{
	json_t *header = part_of(b, "protected");

	assert_string_equal(
		json_string_value(json_object_get(header, "nonce")), want);
	json_decref(header);
}

static const char directory[] =
	"{\"newNonce\":\"" CA "/nonce\",\"newAccount\":\"" CA "/account\","
	"\"newOrder\":\"" CA "/order\",\"renewalInfo\":\"" CA "/ari\"}";

static const char *order_text(const char *status)
{
	static char text[512];

	snprintf(text, sizeof(text),
		 "{\"status\":\"%s\",\"authorizations\":[\"" CA "/authz/1\"],"
		 "\"finalize\":\"" CA "/fin\",\"certificate\":\"" CA "/cert\"}",
		 status);
	return text;
}

static const char authz[] =
	"{\"status\":\"pending\",\"identifier\":{\"type\":\"dns\",\"value\":\""
	DOMAIN "\"},\"challenges\":[{\"type\":\"http-01\",\"url\":\"" CA
	"/c/0\",\"token\":\"t0\"},{\"type\":\"dns-01\",\"status\":\"pending\","
	"\"url\":\"" CA "/c/1\",\"token\":\"t1\"}]}";

static void up_to_order(struct bench *b)
{
	wants(b, "GET", CA "/dir");
	reply_all(b, 200, directory, "", "", false);
	wants(b, "HEAD", CA "/nonce");
	reply(b, 200, "");
	wants(b, "POST", CA "/account");
	reply_all(b, 201, "{\"status\":\"valid\"}", CA "/acct/1", "", true);
	wants(b, "POST", CA "/order");
}

static void up_to_wait(struct bench *b)
{
	up_to_order(b);
	reply_all(b, 201, order_text("pending"), CA "/order/1", "", true);
	wants(b, "POST", CA "/authz/1");
	reply(b, 200, authz);
	next(b, TS_ACME_DNS);
	ts_acme_order_proof_reply(b->order, NULL);
	wants(b, "POST", CA "/c/1");
	reply(b, 200, "{\"status\":\"processing\"}");
	wants(b, "POST", CA "/order/1");
}

static void up_to_finalize(struct bench *b)
{
	json_t *payload;

	up_to_wait(b);
	reply(b, 200, order_text("ready"));
	wants(b, "POST", CA "/fin");
	payload = part_of(b, "payload");
	b->csr = strdup(json_string_value(json_object_get(payload, "csr")));
	json_decref(payload);
}

static void a_certificate_is_obtained(void **state)
{
	struct bench *b = *state;
	struct ts_cert_pair pair;
	char *record, *chain;

	begin(b, DOMAIN, NULL);
	up_to_order(b);
	reply_all(b, 201, order_text("pending"), CA "/order/1", "", true);
	wants(b, "POST", CA "/authz/1");
	reply(b, 200, authz);
	next(b, TS_ACME_DNS);
	record = ts_acme_dns_record(b->account, "t1");
	assert_string_equal(b->step.dns_name, "_acme-challenge." DOMAIN);
	assert_string_equal(b->step.dns_value, record);
	free(record);
	next(b, TS_ACME_IDLE);
	ts_acme_order_proof_reply(b->order, NULL);
	wants(b, "POST", CA "/c/1");
	reply(b, 200, "{}");
	wants(b, "POST", CA "/order/1");
	reply_all(b, 200, order_text("pending"), "", "3", true);
	next(b, TS_ACME_IDLE);
	assert_int_equal(ts_acme_order_deadline_ms(b->order),
			 b->now_ms + 3000);
	b->now_ms += 3000;
	wants(b, "POST", CA "/order/1");
	reply(b, 200, order_text("ready"));
	wants(b, "POST", CA "/fin");
	{
		json_t *p = part_of(b, "payload");

		b->csr = strdup(json_string_value(json_object_get(p, "csr")));
		json_decref(p);
	}
	reply(b, 200, order_text("processing"));
	b->now_ms += 1000;
	wants(b, "POST", CA "/order/1");
	reply(b, 200, order_text("valid"));
	wants(b, "POST", CA "/cert");
	assert_string_equal(b->step.accept,
			    "application/pem-certificate-chain");
	chain = ca_issue(&b->ca, b->csr, NOW - DAY, NOW + DAY);
	reply(b, 200, chain);
	next(b, TS_ACME_DONE);
	ts_acme_order_take(b->order, &pair);
	assert_string_equal(pair.chain_pem, chain);
	assert_int_equal(ts_cert_check(&pair, DOMAIN, NULL, NOW),
			 TS_CERT_FINE);
	ts_cert_pair_deinit(&pair);
	free(chain);
}

static void a_nonce_is_used_once(void **state)
{
	struct bench *b = *state;

	begin(b, DOMAIN, NULL);
	up_to_order(b);
	nonce_is(b, "nonce-2");
	/* An answer without one: it is asked for. */
	reply_all(b, 201, order_text("pending"), CA "/order/1", "", false);
	wants(b, "HEAD", CA "/nonce");
	reply(b, 204, "");
	wants(b, "POST", CA "/authz/1");
	nonce_is(b, "nonce-3");
}

static void a_refused_nonce_is_replaced(void **state)
{
	static const char bad[] =
		"{\"type\":\"urn:ietf:params:acme:error:badNonce\"}";
	struct bench *b = *state;

	begin(b, DOMAIN, NULL);
	up_to_order(b);
	for (unsigned i = 0; i < 4; i++) {
		reply(b, 400, bad);
		if (i < 4)
			wants(b, "POST", CA "/order");
	}
	reply(b, 400, bad);
	fails(b, "badNonce");
}

static void faults_are_tried_again_ever_later(void **state)
{
	struct bench *b = *state;
	uint64_t waited_ms = 0;

	begin(b, DOMAIN, NULL);
	for (unsigned i = 0; i < 5; i++) {
		wants(b, "GET", CA "/dir");
		reply_all(b, i % 2 ? 500 : 0, "", "", "", false);
		if (i == 4)
			break;
		next(b, TS_ACME_IDLE);
		assert_true(ts_acme_order_deadline_ms(b->order) - b->now_ms >
			    waited_ms);
		waited_ms = ts_acme_order_deadline_ms(b->order) - b->now_ms;
		b->now_ms += waited_ms;
	}
	fails(b, "acme: directory: no route");
}

static void a_rate_limit_says_until_when(void **state)
{
	struct bench *b = *state;
	int64_t after_s;

	begin(b, DOMAIN, NULL);
	up_to_order(b);
	reply_all(b, 429, "{\"type\":\"urn:ietf:params:acme:error:rateLimited\","
		  "\"detail\":\"too many\"}", "", "86400", true);
	fails(b, "new order: rateLimited: too many");
	assert_true(ts_acme_order_is_limited(b->order, &after_s));
	assert_int_equal(after_s, 86400);
}

static void a_renewal_is_named_unless_the_ca_minds(void **state)
{
	struct bench *b = *state;
	json_t *payload;

	begin(b, DOMAIN, "aa.bb");
	up_to_order(b);
	payload = part_of(b, "payload");
	assert_string_equal(
		json_string_value(json_object_get(payload, "replaces")),
		"aa.bb");
	json_decref(payload);
	reply(b, 409, "{\"type\":\"urn:ietf:params:acme:error:alreadyReplaced\"}");
	wants(b, "POST", CA "/order");
	payload = part_of(b, "payload");
	assert_null(json_object_get(payload, "replaces"));
	json_decref(payload);
}

static void why_a_challenge_failed_is_told(void **state)
{
	struct bench *b = *state;

	begin(b, DOMAIN, NULL);
	up_to_wait(b);
	reply(b, 200, order_text("invalid"));
	wants(b, "POST", CA "/authz/1");
	reply(b, 200, "{\"status\":\"invalid\",\"identifier\":{\"value\":\""
		DOMAIN "\"},\"challenges\":[{\"type\":\"dns-01\",\"status\":"
		"\"invalid\",\"url\":\"" CA "/c/1\",\"token\":\"t1\",\"error\":"
		"{\"type\":\"urn:ietf:params:acme:error:dns\",\"detail\":"
		"\"no TXT\\nrecord\"}}]}");
	fails(b, "validation: dns: no TXT record");
}

static void a_record_that_cannot_be_set_is_the_end(void **state)
{
	struct bench *b = *state;

	begin(b, DOMAIN, NULL);
	up_to_order(b);
	reply_all(b, 201, order_text("pending"), CA "/order/1", "", true);
	wants(b, "POST", CA "/authz/1");
	reply(b, 200, authz);
	next(b, TS_ACME_DNS);
	ts_acme_order_proof_reply(b->order, "set-dns response: 403");
	fails(b, "DNS record: set-dns response: 403");
}

static void nobody_waits_for_ever(void **state)
{
	struct bench *b = *state;
	uint64_t end_ms = b->now_ms + TS_ACME_ORDER_MS;

	begin(b, DOMAIN, NULL);
	up_to_wait(b);
	while (b->now_ms < end_ms) {
		reply_all(b, 200, order_text("pending"), "", "100000", true);
		assert_true(ts_acme_order_deadline_ms(b->order) <= end_ms);
		b->now_ms = ts_acme_order_deadline_ms(b->order);
		if (b->now_ms < end_ms)
			wants(b, "POST", CA "/order/1");
	}
	fails(b, "it takes too long");
}

/* A request that is never answered, too. */
static void silence_ends_it_as_well(void **state)
{
	struct bench *b = *state;

	begin(b, DOMAIN, NULL);
	wants(b, "GET", CA "/dir");
	next(b, TS_ACME_IDLE);
	b->now_ms = ts_acme_order_deadline_ms(b->order);
	fails(b, "it takes too long");
}

static void answers_that_make_no_sense_are_the_end(void **state)
{
	static const char *const bad[] = {
		"", "[]", "null", "{}", "{\"status\":\"pending\"}",
		"{\"status\":\"pending\",\"authorizations\":[],\"finalize\":\""
		CA "/f\"}",
		"{\"status\":\"pending\",\"authorizations\":[7],\"finalize\":\""
		CA "/f\"}",
		"{\"status\":\"pending\",\"authorizations\":[\"" CA "/a\"],"
		"\"finalize\":\"http://ca.test/f\"}",
		"{\"status\":\"pending\",\"authorizations\":[\"" CA "/a\\n\"],"
		"\"finalize\":\"" CA "/f\"}",
		"{\"status\":\"valid\",\"authorizations\":[\"" CA "/a\"],"
		"\"finalize\":\"" CA "/f\",\"certificate\":\"" CA "/c\"}",
		"{\"status\":\"odd\",\"authorizations\":[\"" CA "/a\"],"
		"\"finalize\":\"" CA "/f\"}",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct bench *b = *state;

		ts_acme_order_free(b->order);
		begin(b, DOMAIN, NULL);
		up_to_order(b);
		reply_all(b, 201, bad[i], CA "/order/1", "", true);
		fails(b, "new order: the server's answer makes no sense");
	}
}

static void an_order_that_is_cut_anywhere_makes_no_sense(void **state)
{
	struct bench *b = *state;
	const char *whole = order_text("pending");
	char *text = strdup(whole);

	for (size_t cut = strlen(text); cut-- > 0;) {
		text[cut] = '\0';
		ts_acme_order_free(b->order);
		begin(b, DOMAIN, NULL);
		up_to_order(b);
		reply_all(b, 201, text, CA "/order/1", "", true);
		fails(b, "makes no sense");
	}
	free(text);
}

static void a_chain_for_another_key_is_refused(void **state)
{
	struct bench *b = *state;
	struct ts_cert_pair other;

	begin(b, DOMAIN, NULL);
	up_to_finalize(b);
	reply(b, 200, order_text("valid"));
	wants(b, "POST", CA "/cert");
	other = ca_pair(&b->ca, DOMAIN, NOW - DAY, NOW + DAY);
	reply(b, 200, other.chain_pem);
	fails(b, "not the one that was asked for");
	ts_cert_pair_deinit(&other);
}

static void a_wildcard_is_ordered_with_its_base(void **state)
{
	struct bench *b = *state;
	json_t *payload, *names;

	begin(b, "*." DOMAIN, NULL);
	up_to_order(b);
	payload = part_of(b, "payload");
	names = json_object_get(payload, "identifiers");
	assert_int_equal(json_array_size(names), 2);
	assert_string_equal(json_string_value(json_object_get(
				    json_array_get(names, 0), "value")),
			    "*." DOMAIN);
	assert_string_equal(json_string_value(json_object_get(
				    json_array_get(names, 1), "value")),
			    DOMAIN);
	json_decref(payload);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static const char both[] =
	"{\"status\":\"pending\",\"identifier\":{\"type\":\"dns\",\"value\":\""
	DOMAIN "\"},\"challenges\":[{\"type\":\"dns-01\",\"url\":\"" CA
	"/c/0\",\"token\":\"t0\"},{\"type\":\"tls-alpn-01\",\"status\":"
	"\"pending\",\"url\":\"" CA "/c/2\",\"token\":\"t2\"}]}";

static void a_proof_by_tls(void **state)
{
	struct bench *b = *state;
	char *digest, *record;

	b->by_alpn = true;
	begin(b, DOMAIN, NULL);
	up_to_order(b);
	reply_all(b, 201, order_text("pending"), CA "/order/1", "", true);
	wants(b, "POST", CA "/authz/1");
	reply(b, 200, both);
	next(b, TS_ACME_ALPN);
	digest = ts_base64url_encode(b->step.digest, TS_SHA256_LEN);
	record = ts_acme_dns_record(b->account, "t2");
	assert_string_equal(digest, record);
	free(digest);
	free(record);
	next(b, TS_ACME_IDLE);
	ts_acme_order_proof_reply(b->order, NULL);
	wants(b, "POST", CA "/c/2");
	reply(b, 200, "{}");
	wants(b, "POST", CA "/order/1");
}

static void a_proof_by_tls_has_to_be_offered(void **state)
{
	struct bench *b = *state;

	b->by_alpn = true;
	begin(b, DOMAIN, NULL);
	up_to_order(b);
	reply_all(b, 201, order_text("pending"), CA "/order/1", "", true);
	wants(b, "POST", CA "/authz/1");
	reply(b, 200, authz);
	fails(b, "tls-alpn-01 challenge not offered");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_certificate_is_obtained),
		CASE(a_nonce_is_used_once),
		CASE(a_refused_nonce_is_replaced),
		CASE(faults_are_tried_again_ever_later),
		CASE(a_rate_limit_says_until_when),
		CASE(a_renewal_is_named_unless_the_ca_minds),
		CASE(why_a_challenge_failed_is_told),
		CASE(a_record_that_cannot_be_set_is_the_end),
		CASE(nobody_waits_for_ever),
		CASE(silence_ends_it_as_well),
		CASE(answers_that_make_no_sense_are_the_end),
		CASE(an_order_that_is_cut_anywhere_makes_no_sense),
		CASE(a_chain_for_another_key_is_refused),
		CASE(a_wildcard_is_ordered_with_its_base),
		CASE(a_proof_by_tls),
		CASE(a_proof_by_tls_has_to_be_offered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
