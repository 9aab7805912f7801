/* SPDX-License-Identifier: BSD-3-Clause
 * Signature Version 4: AWS's own vectors (aws-sig-v4-test-suite).
 */
#include "unit/test.h"

#include <stdlib.h>
#include <string.h>

#include "core/control/aws_sign.h"

enum { WALL_S = 1440938160 }; /* 20150830T123600Z */

static char key_id[] = "AKIDEXAMPLE";
static char secret[] = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

static const char *last_field(const struct ts_web_call *call)
{
	assert_false(call->is_bad);
	return call->fields[call->field_count - 1];
}

/* post-x-www-form-urlencoded */
static void a_form_is_signed(void **state)
{
	struct ts_aws_credentials c = {.key_id = key_id, .secret = secret};
	struct ts_web_call call;

	(void)state;
	ts_web_call_init(&call, "POST", "https://example.amazonaws.com/");
	ts_web_call_take_body(&call, strdup("Param1=value1"));
	ts_aws_sign(&call, "example.amazonaws.com", "us-east-1", "service", &c,
		    WALL_S);
	assert_string_equal(
		last_field(&call),
		"Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"
		"20150830/us-east-1/service/aws4_request, SignedHeaders="
		"content-type;host;x-amz-date, Signature=ff11897932ad3f4e8b18"
		"135d722051e5ac45fc38421b1da7b9d196a0fe09473a");
	ts_web_call_deinit(&call);
}

static void a_session_is_signed_too(void **state)
{
	char session[] = "SESSION";
	struct ts_aws_credentials c = {
		.key_id = key_id, .secret = secret, .session = session};
	struct ts_web_call call;

	(void)state;
	ts_web_call_init(&call, "POST", "https://example.amazonaws.com/");
	ts_web_call_take_body(&call, strdup(""));
	ts_aws_sign(&call, "example.amazonaws.com", "us-east-1", "sts", &c,
		    WALL_S);
	assert_non_null(strstr(last_field(&call),
			       "content-type;host;x-amz-date;"
			       "x-amz-security-token"));
	ts_web_call_deinit(&call);
	/* Without a body there is nothing to sign. */
	ts_web_call_init(&call, "POST", "https://example.amazonaws.com/");
	ts_aws_sign(&call, "example.amazonaws.com", "us-east-1", "sts", &c,
		    WALL_S);
	assert_true(call.is_bad);
	ts_web_call_deinit(&call);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_form_is_signed),
		cmocka_unit_test(a_session_is_signed_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
