/* SPDX-License-Identifier: BSD-3-Clause
 * table_words.h - what both sides of the address table must agree on
 *
 * The payloads are copied in 32-bit words: stores are releases and loads are
 * acquires, so a reader that saw any word of a newer write also sees the odd
 * sequence number that went before it. On x86 these are plain moves; a fence
 * would do the same, but race detectors do not understand fences.
 */
#ifndef CORE_BROKER_TABLE_WORDS_H
#define CORE_BROKER_TABLE_WORDS_H

#include <stddef.h>
#include <stdint.h>

#include "core/broker/address_table.h"

enum {
	TS_TABLE_SLOT_MASK = TS_TABLE_FLOW_CAP - 1,
	/* key and entry follow each other and are copied as one */
	TS_TABLE_SLOT_PAYLOAD = sizeof(struct ts_table_slot) -
				offsetof(struct ts_table_slot, key),
};

_Static_assert((TS_TABLE_FLOW_CAP & TS_TABLE_SLOT_MASK) == 0, "power of two");
_Static_assert(offsetof(struct ts_table_slot, key) % 4 == 0, "words");
_Static_assert(TS_TABLE_SLOT_PAYLOAD % 4 == 0, "words");
_Static_assert(sizeof(struct ts_table_info) % 4 == 0, "words");
_Static_assert(offsetof(struct ts_table_layout, info) % 4 == 0, "words");
_Static_assert(sizeof(((struct ts_table_layout *)0)->prefixes) % 4 == 0,
	       "words");
_Static_assert(offsetof(struct ts_table_layout, prefixes) ==
		       offsetof(struct ts_table_layout, info) +
			       sizeof(struct ts_table_info),
	       "both are written as one");
_Static_assert(offsetof(struct ts_table_layout, interfaces) ==
		       offsetof(struct ts_table_layout, prefixes) +
			       sizeof(((struct ts_table_layout *)0)->prefixes),
	       "these, too");
_Static_assert(sizeof(struct ts_table_interface) % 4 == 0 &&
		       offsetof(struct ts_table_layout, interfaces) % 4 == 0,
	       "words");
_Static_assert(TS_TABLE_PREFIX_MAX % 4 == 0, "read by four");
_Static_assert(offsetof(struct ts_table_info, own_v4) % 4 == 0, "words");
_Static_assert(offsetof(struct ts_table_info, own_v6) ==
		       offsetof(struct ts_table_info, own_v4) + TS_IP_LEN,
	       "both are copied as one");

/* The slot where the search for key begins. */
uint32_t ts_table_home(const struct ts_flow_key *key);
bool ts_table_key_equal(const struct ts_flow_key *a,
			const struct ts_flow_key *b);
size_t ts_table_bytes(void); /* of the whole mapping */

#endif
