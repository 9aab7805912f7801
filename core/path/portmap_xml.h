/* SPDX-License-Identifier: BSD-3-Clause
 * portmap_xml.h - the elements of a small XML document, one after the other
 *
 * Strict, and only what UPnP's documents need: elements with text, CDATA,
 * comments, the five named entities and numbers. Attributes and name space
 * prefixes are passed over. A DOCTYPE is refused, so nothing expands; depth is
 * bounded, nothing is allocated, the document is read once from front to end.
 * No library: libminiupnpc's parser is part of one that blocks, and a general
 * one is more than a stranger should have.
 */
#ifndef CORE_PATH_PORTMAP_XML_H
#define CORE_PATH_PORTMAP_XML_H

#include <stdbool.h>
#include <stddef.h>

enum { XML_DEPTH_MAX = 32, XML_TEXT_CAP = 512 };

enum ts_xml_event { XML_ERROR, XML_START, XML_END, XML_DONE };

struct ts_xml_name {
	const char *at; /* in the document, without prefix */
	size_t len;
};

struct ts_xml {
	const char *at, *end;
	struct ts_xml_name open[XML_DEPTH_MAX];
	size_t depth;
	bool is_empty; /* the last start was "<a/>": its end comes next */
	bool has_root;
	/* After XML_START and XML_END: whose. */
	struct ts_xml_name name;
	/* At XML_END: the text right before it, blanks around it cut off.
	 * NUL-terminated; is_cut when it was longer than there is room. */
	char text[XML_TEXT_CAP];
	size_t text_len;
	bool is_cut;
};

void ts_xml_init(struct ts_xml *xml, const void *data, size_t len);
/* After XML_ERROR and XML_DONE: always the same again. */
enum ts_xml_event ts_xml_next(struct ts_xml *xml);
/* The whole document: fn for each XML_START and XML_END. 0 or -EBADMSG, after
 * what came before the fault. */
typedef void (*ts_xml_fn)(void *ctx, enum ts_xml_event event,
			  const struct ts_xml *xml);
int ts_xml_read(const void *data, size_t len, ts_xml_fn fn, void *ctx);
bool ts_xml_is(const struct ts_xml *xml, const char *name);

#endif
