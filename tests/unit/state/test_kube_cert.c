/* SPDX-License-Identifier: BSD-3-Clause
 * A certificate in a Secret of its own: requests, and what is read.
 */
#include "../test.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "core/state/kube_cert.h"

#define DOMAIN "web.tail.ts.net"
#define HEAD "{\"kind\":\"Secret\",\"metadata\":{\"resourceVersion\":\"7\"}"

static void what_is_written_is_read(void **state)
{
	struct ts_kube_cert in = {.key_pem = strdup("the key\n"),
				  .chain_pem = strdup("the \"chain\"\n"),
				  .has_account = true};
	struct ts_kube_cert out;
	struct ts_kube_request rq;
	char err[128];
	json_t *patch, *secret;
	char *text;

	(void)state;
	memset(in.account, 0xab, sizeof(in.account));
	assert_int_equal(ts_kube_cert_write("apps", DOMAIN, &in, &rq), 0);
	assert_string_equal(rq.method, "PATCH");
	assert_string_equal(rq.content_type, "application/merge-patch+json");
	assert_string_equal(rq.path,
			    "/api/v1/namespaces/apps/secrets/" DOMAIN);
	patch = json_loads(rq.body, 0, NULL);
	assert_int_equal(json_object_size(patch), 1);
	secret = json_loads(HEAD "}", 0, NULL);
	json_object_update(secret, patch);
	text = json_dumps(secret, 0);
	assert_int_equal(ts_kube_cert_read(text, strlen(text), &out, err), 0);
	assert_string_equal(out.key_pem, in.key_pem);
	assert_string_equal(out.chain_pem, in.chain_pem);
	assert_true(out.has_account);
	assert_memory_equal(out.account, in.account, sizeof(in.account));
	ts_kube_cert_deinit(&out);
	for (size_t cut = 0; cut < strlen(text); cut++)
		assert_int_equal(ts_kube_cert_read(text, cut, &out, err),
				 -EBADMSG);
	free(text);
	json_decref(secret);
	json_decref(patch);
	ts_kube_request_deinit(&rq);
	ts_kube_cert_deinit(&in);
}

static void check_read(const char *data, int want)
{
	struct ts_kube_cert out;
	char err[128] = "", text[512];

	snprintf(text, sizeof(text), HEAD "%s}", data);
	assert_int_equal(ts_kube_cert_read(text, strlen(text), &out, err),
			 want);
	assert_true(want == 0 || err[0]);
	if (want == 0)
		assert_false(out.has_account);
	ts_kube_cert_deinit(&out);
}

static void a_secret_without_one_has_none(void **state)
{
	(void)state;
	check_read("", -ENOENT);
	check_read(",\"data\":null", -ENOENT);
	check_read(",\"data\":{\"tls.crt\":\"QQ==\"}", -ENOENT);
	check_read(",\"data\":{\"tls.crt\":\"\",\"tls.key\":\"QQ==\"}",
		   -ENOENT);
	check_read(",\"data\":{\"tls.crt\":7,\"tls.key\":\"QQ==\"}", -EBADMSG);
	/* A fingerprint of another length is none. */
	check_read(",\"data\":{\"tls.crt\":\"QQ==\",\"tls.key\":\"QQ==\","
		   "\"acme-account-fingerprint\":\"QUJD\"}", 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(a_secret_without_one_has_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
