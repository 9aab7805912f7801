/* SPDX-License-Identifier: BSD-3-Clause
 * ascii_name.h - a name that somebody asks for, as name servers know it
 *
 * Programs that set AI_IDN leave the conversion to the resolver; so do clients
 * of the proxy. What cannot be converted stays as it is, and is nobody's here:
 * libc, with the program's own arguments, or the system's servers have the say.
 */
#ifndef CORE_HOST_ASCII_NAME_H
#define CORE_HOST_ASCII_NAME_H

#include <string.h>

#include "core/dns/idna.h"

static inline void ts_make_ascii_name(char *name, size_t cap)
{
	char ascii[DNS_TEXT_CAP];

	if (ts_dns_to_ascii(name, ascii) && strlen(ascii) < cap)
		memcpy(name, ascii, strlen(ascii) + 1);
}

#endif
