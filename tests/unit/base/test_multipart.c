/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/base/multipart.h"

/* What was said, as text: "<type|name>content." */
struct taken {
	char text[1024];
	size_t len;
	size_t room; /* of data that is taken at once */
	bool waits;  /* after each part, once */
	int refusal; /* of parts */
	bool is_over;
	ssize_t err;
};

static void add(struct taken *t, const char *data, size_t len)
{
	assert_true(t->len + len < sizeof(t->text));
	memcpy(t->text + t->len, data, len);
	t->len += len;
}

static int on_part(void *ctx, const struct ts_multipart_part *part)
{
	char text[512];
	int n = snprintf(text, sizeof(text), "<%.200s|%.200s>",
			 part->content_type, part->file_name);

	add(ctx, text, (size_t)n);
	return ((struct taken *)ctx)->refusal;
}

static size_t on_data(void *ctx, const char *data, size_t len)
{
	struct taken *t = ctx;

	if (len > t->room)
		len = t->room;
	add(t, data, len);
	return len;
}

static bool on_part_end(void *ctx)
{
	add(ctx, ".", 1);
	return !((struct taken *)ctx)->waits;
}

static const struct ts_multipart_ops ops = {
	.part = on_part, .data = on_data, .part_end = on_part_end};

/* In pieces of so many bytes, of which what was not taken comes again. */
static void take(struct taken *t, const char *body, size_t piece)
{
	struct ts_multipart m;
	size_t len = strlen(body), at = 0;

	assert_int_equal(ts_multipart_init(
		&m, "multipart/form-data; boundary=xyz", &ops, t), 0);
	while (at < len && t->err >= 0) {
		size_t n = len - at < piece ? len - at : piece;

		t->err = ts_multipart_input(&m, body + at, n);
		if (t->err > 0)
			at += (size_t)t->err;
	}
	t->is_over = ts_multipart_is_over(&m);
}

static void says(const char *body, const char *expected, bool is_over)
{
	for (size_t piece = 1; piece <= strlen(body); piece++)
		for (size_t room = 1; room < 12; room++) {
			struct taken t = {.room = room, .waits = room % 2};

			take(&t, body, piece);
			assert_true(t.err >= 0);
			assert_int_equal(t.len, strlen(expected));
			assert_memory_equal(t.text, expected, t.len);
			assert_int_equal(t.is_over, is_over);
		}
}

static void parts_however_they_are_cut(void **state)
{
	(void)state;
	says("--xyz\r\nContent-Type: application/json\r\n\r\n[1]\r\n"
	     "--xyz\r\ncontent-disposition: form-data; name=\"f\"; "
	     "filename=\"a \\\"b\\\".txt\"\r\n\r\none\r\n\r\n--xy\r\n\r\n"
	     "--xyz  \r\nContent-Disposition: form-data; filename=../up/c\r\n"
	     "Content-Type: text/plain\r\n\r\n\r\n--xyz\r\n\r\nbare\r\n"
	     "--xyz--\r\nbehind it\r\n--xyz\r\n",
	     "<application/json|>[1].<|a \"b\".txt>one\r\n\r\n--xy\r\n."
	     "<text/plain|c>.<|>bare.",
	     true);
	says("in front\r\n--xyz\r\n\r\n\r\r\n-\r\r\n--xyz--",
	     "<|>\r\r\n-\r.", true);
	says("--xyz--", "", true);
}

static void what_ends_too_early_is_not_over(void **state)
{
	static const char body[] = "--xyz\r\nContent-Type: a/b\r\n\r\nabc\r\n"
				   "--xyz--";
	char cut[sizeof(body)];

	(void)state;
	for (size_t len = 0; len < strlen(body); len++) {
		struct taken t = {.room = 100};

		snprintf(cut, sizeof(cut), "%.*s", (int)len, body);
		take(&t, cut, 7);
		assert_true(t.err >= 0);
		assert_false(t.is_over);
	}
}

static void fails(const char *body, int err)
{
	for (size_t piece = 1; piece < 20; piece++) {
		struct taken t = {.room = 100};

		take(&t, body, piece);
		assert_int_equal(t.err, err);
	}
}

static void nonsense_is_badmsg(void **state)
{
	char large[TS_MULTIPART_HEAD_MAX + 100] = "--xyz\r\nA: ";
	struct taken t = {.room = 100, .refusal = -EACCES};

	(void)state;
	fails("--xyzz\r\n\r\n", -EBADMSG);
	fails("--xyz-x", -EBADMSG);
	fails("--xyz\n\r\n", -EBADMSG);
	fails("--xyz\r\nno colon\r\n\r\n", -EBADMSG);
	fails("--xyz\r\n: nothing\r\n\r\n", -EBADMSG);
	fails("--xyz\r\nA: b\r\n folded: c\r\n\r\n", -EBADMSG);
	fails("--xyz\r\nA: \x01\r\n\r\n", -EBADMSG);
	memset(large + strlen(large), 'x', sizeof(large) - 1 - strlen(large));
	fails(large, -EMSGSIZE);
	take(&t, "--xyz\r\n\r\nabc", 100);
	assert_int_equal(t.err, -EACCES);
}

static void boundaries_that_can_be(void **state)
{
	static const struct {
		const char *type;
		int err;
	} cases[] = {
		{"multipart/form-data; boundary=abc", 0},
		{"Multipart/mixed; charset=utf-8; Boundary=\"a b;c\"", 0},
		{"multipart/form-data", -EINVAL},
		{"multipart/form-data; boundary=", -EINVAL},
		{"multipart/form-data; boundary=\"\"", -EINVAL},
		{"multipart/form-data; boundary=\"abc", -EINVAL},
		{"multipart/form-data; boundary=\"a\r\nb\"", -EINVAL},
		{"multipart/form-data; xboundary=abc", -EINVAL},
		{"multipart/form-data; nonsense; boundary=abc", -EINVAL},
		{"text/plain; boundary=abc", -EINVAL},
		{"", -EINVAL},
		{"multipart/x; boundary="
		 "1234567890123456789012345678901234567890"
		 "123456789012345678901234567890", 0},
		{"multipart/x; boundary="
		 "1234567890123456789012345678901234567890"
		 "1234567890123456789012345678901", -EINVAL},
	};
	struct ts_multipart m;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_int_equal(ts_multipart_init(&m, cases[i].type, &ops,
						   NULL), cases[i].err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts_however_they_are_cut),
		cmocka_unit_test(what_ends_too_early_is_not_over),
		cmocka_unit_test(nonsense_is_badmsg),
		cmocka_unit_test(boundaries_that_can_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
