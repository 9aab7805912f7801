/* SPDX-License-Identifier: BSD-3-Clause
 * addrinfo_list.h - results of getaddrinfo that were put together here
 */
#ifndef SHIM_ADDRINFO_LIST_H
#define SHIM_ADDRINFO_LIST_H

#include <netdb.h>

/* Gives the first entry of a list a canonical name in place of libc's, with a
 * copy of it. 0 or EAI_MEMORY. */
int shim_addrinfo_set_name(struct addrinfo *first, const char *name);
/* As freeaddrinfo, for lists of libc and for those that are chained. */
void shim_addrinfo_free(struct addrinfo *list);

#endif
