/* SPDX-License-Identifier: BSD-3-Clause */
#include "unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/control/aws_profile.h"

static struct ts_aws_profile p;
static char error[TS_AWS_ERROR_CAP];

static int read_both(const char *config, const char *keys, const char *name)
{
	return ts_aws_profile_read(config, keys, name, false, &p, error);
}

static void files_are_read_as_awss_library_does(void **state)
{
	static const char config[] =
		"region = no-section-1\n"
		"; [default]\n"
		"  # a comment\n"
		"\n"
		"[ default ] # the usual\r\n"
		"Region=eu-west-1 # not eu-west-2\r\n"
		"s3 =\n"
		"  region = nested-1\n"
		"aws_secret_access_key = half\n"
		"[work]\n"
		"region = no-profile-1\n"
		"[profile\twork]\n"
		"region: 'us-east-1'\n"
		"junk\n"
		"[sso-session work]\n"
		"region = no-session-1\n"
		"[profile work]\n"
		"region = \"us-east-2\"\n";
	static const char keys[] = "[default]\n"
				   "aws_access_key_id = AK#ID;1\n"
				   "aws_secret_access_key = se/cr+et==\n"
				   "[profile work]\n"
				   "aws_access_key_id = wrong\n"
				   "aws_secret_access_key = wrong\n"
				   "[work]\n"
				   "aws_session_token = alone";

	(void)state;
	assert_int_equal(read_both(config, keys, NULL), 0);
	assert_string_equal(p.region, "eu-west-1");
	assert_string_equal(p.credentials.key_id, "AK#ID;1");
	assert_string_equal(p.credentials.secret, "se/cr+et==");
	assert_null(p.credentials.session);
	ts_aws_profile_deinit(&p);
	assert_int_equal(read_both(config, keys, "work"), 0);
	assert_string_equal(p.region, "us-east-2");
	assert_null(p.credentials.key_id);
	assert_null(p.credentials.session);
	ts_aws_profile_deinit(&p);
	/* Neither file, and none of that name. */
	assert_int_equal(read_both(NULL, NULL, NULL), 0);
	assert_null(p.region);
	ts_aws_profile_deinit(&p);
	assert_int_equal(read_both(config, keys, "wor"), -EINVAL);
	assert_string_equal(error,
			    "failed to get shared config profile, wor");
}

static void keys_of_the_credentials_file_come_first(void **state)
{
	static const char config[] = "[default]\naws_access_key_id=C\n"
				     "aws_secret_access_key=C2\n";

	(void)state;
	assert_int_equal(read_both(config,
				   "[default]\naws_access_key_id=K\n"
				   "aws_secret_access_key=K2\n"
				   "aws_session_token=K3", NULL), 0);
	assert_string_equal(p.credentials.key_id, "K");
	assert_string_equal(p.credentials.session, "K3");
	ts_aws_profile_deinit(&p);
	assert_int_equal(read_both(config, "[default]\naws_access_key_id=K\n",
				   NULL), 0);
	assert_string_equal(p.credentials.key_id, "C");
	assert_string_equal(p.credentials.secret, "C2");
	ts_aws_profile_deinit(&p);
}

static void roles_lead_to_their_source(void **state)
{
	static const char config[] =
		"[profile a]\nregion=r-a-1\nrole_arn=A\nsource_profile=b\n"
		"[profile b]\nregion=r-b-1\nrole_arn=B\nexternal_id=x\n"
		"source_profile=c\n"
		"[profile self]\nrole_arn=S\nsource_profile=self\n"
		"aws_access_key_id=K\naws_secret_access_key=K2\n"
		"[profile pod]\nrole_arn=P\nweb_identity_token_file=/f\n"
		"[profile via]\nrole_arn=V\nsource_profile=pod\n"
		"[profile gone]\nrole_arn=G\nsource_profile=nobody\n"
		"[profile ring]\nrole_arn=R\nsource_profile=ring2\n"
		"[profile ring2]\nrole_arn=R\nsource_profile=ring\n";
	static const char keys[] = "[c]\naws_access_key_id=C\n"
				   "aws_secret_access_key=C2\n";

	(void)state;
	assert_int_equal(read_both(config, keys, "a"), 0);
	assert_string_equal(p.region, "r-a-1");
	assert_int_equal(p.role_count, 2);
	assert_string_equal(p.roles[0].arn, "A");
	assert_string_equal(p.roles[1].arn, "B");
	assert_string_equal(p.roles[1].external_id, "x");
	assert_string_equal(p.credentials.key_id, "C");
	ts_aws_profile_deinit(&p);
	assert_int_equal(read_both(config, keys, "self"), 0);
	assert_int_equal(p.role_count, 1);
	assert_string_equal(p.credentials.key_id, "K");
	ts_aws_profile_deinit(&p);
	assert_int_equal(read_both(config, keys, "via"), 0);
	assert_int_equal(p.role_count, 1);
	assert_string_equal(p.token_file, "/f");
	assert_string_equal(p.token_role.arn, "P");
	ts_aws_profile_deinit(&p);
	assert_int_equal(read_both(config, keys, "gone"), -EINVAL);
	assert_non_null(strstr(error, "nobody"));
	assert_int_equal(read_both(config, keys, "ring"), -EINVAL);
	assert_non_null(strstr(error, "too many roles"));
}

static void what_needs_a_person_or_a_program_is_refused(void **state)
{
	static const struct {
		const char *lines, *why;
	} cases[] = {
		{"sso_session=x", "single sign-on (sso_session)"},
		{"sso_start_url=x", "single sign-on (sso_start_url)"},
		{"login_session=x", "login session"},
		{"credential_process=/bin/x", "no program is run"},
		{"role_arn=r\nsource_profile=default\nmfa_serial=1",
		 "second factor"},
		{"source_profile=x", "needs a role"},
		{"web_identity_token_file=x", "needs a role"},
		{"role_arn=r\ncredential_source=Elsewhere",
		 "credential_source values must be"},
		{"role_arn=r\ncredential_source=Environment\n"
		 "source_profile=x", "only one credential type"},
	};
	char config[256];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(config, sizeof(config),
			 "[default]\nregion = r-1\n%s\n", cases[i].lines);
		assert_int_equal(read_both(config, NULL, NULL), -EINVAL);
		if (!strstr(error, cases[i].why))
			fail_msg("%s: %s", cases[i].lines, error);
		/* It does not matter where they come from elsewhere. */
		assert_int_equal(ts_aws_profile_read(config, NULL, NULL, true,
						     &p, error), 0);
		assert_string_equal(p.region, "r-1");
		ts_aws_profile_deinit(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_are_read_as_awss_library_does),
		cmocka_unit_test(keys_of_the_credentials_file_come_first),
		cmocka_unit_test(roles_lead_to_their_source),
		cmocka_unit_test(what_needs_a_person_or_a_program_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
