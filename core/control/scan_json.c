/* SPDX-License-Identifier: BSD-3-Clause
 * scan_json.c - walk a large JSON text, parsing one small value at a time
 */
#include "core/control/scan_json.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/model/json_fields.h"

static void skip_space(struct ts_reader *r)
{
	while (!r->bad && r->left > 0 && strchr(" \t\r\n", *r->at) && *r->at)
		ts_read_skip(r, 1);
}

char ts_scan_peek(struct ts_reader *r)
{
	skip_space(r);
	return r->bad || r->left == 0 ? 0 : (char)*r->at;
}

static int expect(struct ts_reader *r, char c)
{
	if (ts_scan_peek(r) != c) {
		r->bad = true;
		return -EBADMSG;
	}
	ts_read_skip(r, 1);
	return 0;
}

int ts_scan_enter(struct ts_reader *r, char open)
{
	return expect(r, open);
}

/* Past the closing bracket (0) or up to the next element (1). */
static int next_in(struct ts_reader *r, char close, bool *is_first)
{
	bool was_first = *is_first;

	*is_first = false;
	if (ts_scan_peek(r) == close) {
		ts_read_skip(r, 1);
		return 0;
	}
	if (!was_first && expect(r, ','))
		return -EBADMSG;
	return 1;
}

int ts_scan_element(struct ts_reader *r, bool *is_first)
{
	return next_in(r, ']', is_first);
}

int ts_scan_field(struct ts_reader *r, bool *is_first,
		  char key[static TS_SCAN_KEY_CAP])
{
	int more = next_in(r, '}', is_first);
	const char *text;
	json_t *name;

	if (more <= 0)
		return more;
	name = ts_scan_value(r);
	text = json_string_value(name);
	key[0] = '\0';
	if (text && strlen(text) < TS_SCAN_KEY_CAP)
		snprintf(key, TS_SCAN_KEY_CAP, "%s", text);
	json_decref(name);
	if (!text || expect(r, ':'))
		return -EBADMSG;
	return 1;
}

json_t *ts_scan_value(struct ts_reader *r)
{
	json_error_t error;
	json_t *value;

	skip_space(r);
	if (r->bad)
		return NULL;
	value = json_loadb((const char *)r->at, r->left,
			   TS_JSON_READ_FLAGS | JSON_DECODE_ANY |
				   JSON_DISABLE_EOF_CHECK,
			   &error);
	if (!value || error.position < 0) {
		json_decref(value);
		r->bad = true;
		return NULL;
	}
	ts_read_skip(r, (size_t)error.position);
	return value;
}

int ts_scan_skip(struct ts_reader *r)
{
	json_t *value = ts_scan_value(r);

	json_decref(value);
	return value ? 0 : -EBADMSG;
}

bool ts_scan_at_end(struct ts_reader *r)
{
	return ts_scan_peek(r) == 0 && !r->bad && r->left == 0;
}
