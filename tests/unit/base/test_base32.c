/* SPDX-License-Identifier: BSD-3-Clause
 * test_base32.c - RFC 4648's vectors, without padding
 */
#include "../test.h"

#include <errno.h>
#include <string.h>

#include "core/base/base32.h"

static const struct {
	const char *data, *text;
} vectors[] = {
	{"", ""},	      {"f", "MY"},	    {"fo", "MZXQ"},
	{"foo", "MZXW6"},     {"foob", "MZXW6YQ"},  {"fooba", "MZXW6YTB"},
	{"foobar", "MZXW6YTBOI"},
};

static void the_rfcs_vectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		size_t len = strlen(vectors[i].data);
		char text[TS_BASE32_TEXT_CAP(6)], back[6];

		ts_base32_encode(vectors[i].data, len, text);
		assert_string_equal(text, vectors[i].text);
		assert_int_equal(ts_base32_decode(text, strlen(text), back,
						  len),
				 0);
		assert_memory_equal(back, vectors[i].data, len);
	}
}

static void other_texts_are_refused(void **state)
{
	static const char *const wrong[] = {"MZ", "mY", "M1", "MY=", "M", "",
					    "M="};
	uint8_t out[1];

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(ts_base32_decode(wrong[i], strlen(wrong[i]),
						  out, 1),
				 -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_rfcs_vectors),
		cmocka_unit_test(other_texts_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
