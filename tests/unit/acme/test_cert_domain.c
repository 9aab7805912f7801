/* SPDX-License-Identifier: BSD-3-Clause
 * Which names this node may have certificates for.
 */
#include "unit/test.h"

#include <errno.h>
#include <string.h>

#include "core/acme/cert_domain.h"

static json_t *domains(void)
{
	return json_pack("[s, s]", "web.tail.ts.net", "b.tail.ts.net");
}

static void check(const char *name, bool wildcards, int want,
		  const char *words)
{
	char err[TS_CERT_ERROR_CAP] = "";
	json_t *list = domains();

	assert_int_equal(ts_cert_domain_check(name, list, wildcards, err),
			 want);
	assert_string_equal(err, words);
	json_decref(list);
}

static void names_are_those_of_the_tailnet(void **state)
{
	(void)state;
	check("web.tail.ts.net", false, 0, "");
	check("app.web.tail.ts.net", true, -EACCES,
	      "invalid domain \"app.web.tail.ts.net\"; must be one of "
	      "[\"web.tail.ts.net\" \"b.tail.ts.net\"]");
	check("*.web.tail.ts.net", false, -EACCES,
	      "wildcard certificates are not enabled for this node");
	check("*.web.tail.ts.net", true, 0, "");
	check("*.tail.ts.net", true, -EACCES,
	      "invalid domain \"*.tail.ts.net\"; wildcard certificates are not "
	      "enabled for this domain");
}

static void a_tailnet_without_https_has_none(void **state)
{
	char err[TS_CERT_ERROR_CAP];

	(void)state;
	assert_int_equal(ts_cert_domain_check("a.b", NULL, true, err),
			 -EACCES);
	assert_string_equal(err, "your Tailscale account does not support "
				 "getting TLS certs");
}

static void what_is_no_name_is_no_file(void **state)
{
	static const char *const bad[] = {
		"", "web", "a..b", "../etc/passwd", "a.b/c", "a.b\\c", "a.b:1",
		"*.", "*.x", "*.*.x", "a.*.b", "*", ".a.b", "a.b c", "a.b\n",
		"*.a/.b", "a.\xc3\xa4",
	};
	char err[TS_CERT_ERROR_CAP], longest[400];

	(void)state;
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	longest[4] = '.';
	assert_false(ts_cert_domain_looks_fine(longest));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(ts_cert_domain_looks_fine(bad[i]));
		assert_int_equal(ts_cert_domain_check(bad[i], NULL, true, err),
				 -EACCES);
		assert_string_equal(err, "invalid domain");
	}
}

static void a_long_list_is_cut(void **state)
{
	char err[TS_CERT_ERROR_CAP];
	json_t *list = json_array();

	(void)state;
	for (int i = 0; i < 200; i++)
		json_array_append_new(list, json_string("name.tail.ts.net"));
	assert_int_equal(ts_cert_domain_check("x.y", list, false, err),
			 -EACCES);
	assert_int_equal(strlen(err), sizeof(err) - 1);
	json_decref(list);
}

static void a_label_is_completed(void **state)
{
	json_t *list = domains();

	(void)state;
	assert_string_equal(ts_cert_domain_expand("web", list),
			    "web.tail.ts.net");
	assert_string_equal(ts_cert_domain_expand("B", list),
			    "b.tail.ts.net");
	assert_null(ts_cert_domain_expand("we", list));
	assert_null(ts_cert_domain_expand("", list));
	assert_null(ts_cert_domain_expand("web", NULL));
	json_decref(list);
}

static void a_wildcards_file_has_no_star(void **state)
{
	char name[64];

	(void)state;
	ts_cert_domain_file("*.a.b", ".key", name, sizeof(name));
	assert_string_equal(name, "wildcard_.a.b.key");
	ts_cert_domain_file("a.b", ".crt", name, sizeof(name));
	assert_string_equal(name, "a.b.crt");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_those_of_the_tailnet),
		cmocka_unit_test(a_tailnet_without_https_has_none),
		cmocka_unit_test(what_is_no_name_is_no_file),
		cmocka_unit_test(a_long_list_is_cut),
		cmocka_unit_test(a_label_is_completed),
		cmocka_unit_test(a_wildcards_file_has_no_star),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
