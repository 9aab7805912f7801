/* SPDX-License-Identifier: BSD-3-Clause
 * portmap_xml.c - the elements of a small XML document, one after the other
 *
 * Every step consumes at least one byte or ends the document, so reading is
 * linear in its length.
 * Source: XML 1.0, without DTD.
 */
#include "core/path/portmap_xml.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.' ||
	       c == ':' || (unsigned char)c >= 0x80;
}

static bool starts_with(const struct ts_xml *xml, const char *text)
{
	size_t len = strlen(text);

	return (size_t)(xml->end - xml->at) >= len &&
	       memcmp(xml->at, text, len) == 0;
}

static enum ts_xml_event fail(struct ts_xml *xml)
{
	xml->at = xml->end;
	xml->depth = 0;
	xml->is_empty = false;
	xml->has_root = false;
	return XML_ERROR;
}

/* Moves behind the next `mark`; false: there is none. */
static bool skip_past(struct ts_xml *xml, const char *mark)
{
	size_t len = strlen(mark);
	const char *found = memmem(xml->at, (size_t)(xml->end - xml->at), mark,
				   len);

	if (!found)
		return false;
	xml->at = found + len;
	return true;
}

/* -- text ----------------------------------------------------------------- */

static void add_char(struct ts_xml *xml, char c)
{
	if (xml->text_len == 0 && is_blank(c))
		return;
	if (xml->text_len + 1 == sizeof(xml->text))
		xml->is_cut = true;
	else
		xml->text[xml->text_len++] = c;
}

/* Of what the texts here hold, all is ASCII; the rest need not come out. */
static void add_code_point(struct ts_xml *xml, uint32_t code)
{
	add_char(xml, code < 0x80 && code >= ' ' ? (char)code : '?');
}

static bool read_number(const char *at, size_t len, uint32_t *out)
{
	uint32_t base = 10;
	size_t i = 0;

	*out = 0;
	if (len > 0 && at[0] == 'x') {
		base = 16;
		i = 1;
	}
	if (i == len)
		return false;
	for (; i < len; i++) {
		static const char digits[] = "0123456789abcdef";
		char c = at[i] >= 'A' && at[i] <= 'F' ? (char)(at[i] | 0x20)
						      : at[i];
		const char *digit = memchr(digits, c, base);

		if (!digit)
			return false;
		*out = *out * base + (uint32_t)(digit - digits);
		if (*out > 0x10ffff)
			return false;
	}
	return true;
}

/* At '&'. */
static bool read_entity(struct ts_xml *xml)
{
	static const struct {
		const char *text;
		char c;
	} named[] = {{"lt", '<'}, {"gt", '>'}, {"amp", '&'}, {"quot", '"'},
		     {"apos", '\''}};
	enum { ENTITY_LEN_MAX = 10 };
	const char *name = xml->at + 1;
	size_t room = (size_t)(xml->end - name);
	const char *semi = memchr(name, ';', room < ENTITY_LEN_MAX
						     ? room : ENTITY_LEN_MAX);
	size_t len;
	uint32_t code;

	if (!semi || semi == name)
		return false;
	len = (size_t)(semi - name);
	xml->at = semi + 1;
	if (*name == '#') {
		if (!read_number(name + 1, len - 1, &code))
			return false;
		add_code_point(xml, code);
		return true;
	}
	for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++) {
		if (strlen(named[i].text) == len &&
		    memcmp(named[i].text, name, len) == 0) {
			add_char(xml, named[i].c);
			return true;
		}
	}
	return false;
}

static bool read_cdata(struct ts_xml *xml)
{
	const char *from, *to;

	skip_past(xml, "<![CDATA[");
	from = xml->at;
	if (!skip_past(xml, "]]>"))
		return false;
	to = xml->at - strlen("]]>");
	while (from < to)
		add_char(xml, *from++);
	return true;
}

/* -- tags ----------------------------------------------------------------- */

/* Without what stands before a colon. */
static struct ts_xml_name read_name(struct ts_xml *xml)
{
	struct ts_xml_name name = {.at = xml->at};

	while (xml->at < xml->end && is_name_char(*xml->at)) {
		if (*xml->at == ':')
			name.at = xml->at + 1;
		xml->at++;
	}
	name.len = (size_t)(xml->at - name.at);
	return name;
}

/* To the '>' that ends a tag, over quoted values. */
static bool skip_attributes(struct ts_xml *xml)
{
	while (xml->at < xml->end) {
		char c = *xml->at++;

		if (c == '>')
			return true;
		if (c == '<')
			return false;
		if (c != '"' && c != '\'')
			continue;
		xml->at = memchr(xml->at, c, (size_t)(xml->end - xml->at));
		if (!xml->at) {
			xml->at = xml->end;
			return false;
		}
		xml->at++;
	}
	return false;
}

static void clear_text(struct ts_xml *xml)
{
	xml->text_len = 0;
	xml->is_cut = false;
}

/* At '<' and a name. A second root is as wrong as none. */
static enum ts_xml_event read_start(struct ts_xml *xml)
{
	struct ts_xml_name name;

	xml->at++;
	name = read_name(xml);
	if (name.len == 0 || !skip_attributes(xml) ||
	    xml->depth == XML_DEPTH_MAX || (xml->depth == 0 && xml->has_root))
		return fail(xml);
	xml->is_empty = xml->at[-2] == '/';
	xml->has_root = true;
	xml->open[xml->depth++] = name;
	xml->name = name;
	clear_text(xml);
	return XML_START;
}

static enum ts_xml_event end_element(struct ts_xml *xml)
{
	xml->is_empty = false;
	xml->name = xml->open[--xml->depth];
	while (xml->text_len > 0 && is_blank(xml->text[xml->text_len - 1]))
		xml->text_len--;
	xml->text[xml->text_len] = '\0';
	/* What follows belongs to the outer one, which has no text then. */
	xml->text_len = 0;
	return XML_END;
}

static enum ts_xml_event read_end(struct ts_xml *xml)
{
	const struct ts_xml_name *open;
	struct ts_xml_name name;

	xml->at += 2;
	name = read_name(xml);
	while (xml->at < xml->end && is_blank(*xml->at))
		xml->at++;
	if (xml->depth == 0 || xml->at == xml->end || *xml->at != '>')
		return fail(xml);
	xml->at++;
	open = &xml->open[xml->depth - 1];
	if (open->len != name.len || memcmp(open->at, name.at, name.len) != 0)
		return fail(xml);
	return end_element(xml);
}

/* -- the document --------------------------------------------------------- */

void ts_xml_init(struct ts_xml *xml, const void *data, size_t len)
{
	memset(xml, 0, sizeof(*xml));
	xml->at = data;
	xml->end = xml->at + len;
	if (starts_with(xml, "\xef\xbb\xbf"))
		xml->at += 3;
}

/* Text between tags; false: malformed. Outside of the root only blanks are
 * text, and what else stands there is an error. */
static bool read_text(struct ts_xml *xml)
{
	if (*xml->at == '&')
		return xml->depth > 0 && read_entity(xml);
	if (xml->depth == 0 && !is_blank(*xml->at))
		return false;
	add_char(xml, *xml->at++);
	return true;
}

enum ts_xml_event ts_xml_next(struct ts_xml *xml)
{
	bool ok = true;

	if (xml->is_empty)
		return end_element(xml);
	while (ok && xml->at < xml->end) {
		if (*xml->at != '<')
			ok = read_text(xml);
		else if (starts_with(xml, "<!--"))
			ok = skip_past(xml, "-->");
		else if (starts_with(xml, "<?"))
			ok = skip_past(xml, "?>");
		else if (starts_with(xml, "<![CDATA["))
			ok = xml->depth > 0 && read_cdata(xml);
		else if (starts_with(xml, "<!"))
			ok = false;
		else if (starts_with(xml, "</"))
			return read_end(xml);
		else
			return read_start(xml);
	}
	if (ok && xml->depth == 0 && xml->has_root)
		return XML_DONE;
	return fail(xml);
}

bool ts_xml_is(const struct ts_xml *xml, const char *name)
{
	return strlen(name) == xml->name.len &&
	       memcmp(name, xml->name.at, xml->name.len) == 0;
}

int ts_xml_read(const void *data, size_t len, ts_xml_fn fn, void *ctx)
{
	enum ts_xml_event event;
	struct ts_xml xml;

	ts_xml_init(&xml, data, len);
	while ((event = ts_xml_next(&xml)) != XML_DONE) {
		if (event == XML_ERROR)
			return -EBADMSG;
		fn(ctx, event, &xml);
	}
	return 0;
}
