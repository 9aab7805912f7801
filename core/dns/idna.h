/* SPDX-License-Identifier: BSD-3-Clause
 * idna.h - names with letters beyond ASCII, as name servers know them
 *
 * "bücher.example" is "xn--bcher-kva.example" there. Source: RFC 3492
 * (Punycode), RFC 5891, UTS #46
 */
#ifndef CORE_DNS_IDNA_H
#define CORE_DNS_IDNA_H

#include <stdbool.h>

#include "core/dns/dns_wire.h"

/* name: UTF-8; an ASCII name comes out as it is. false: not a name, or one
 * whose form takes more of Unicode than there is here. */
bool ts_dns_to_ascii(const char *name, char out[static DNS_TEXT_CAP]);

#endif
