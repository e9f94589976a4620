/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef AXONEME_CONFIG_CONFIG_H
#define AXONEME_CONFIG_CONFIG_H

/* A setting that user space writes into the object before it is loaded. The map behind the section
 * is frozen then, so the verifier takes the value as a constant and removes the branches it rules
 * out. Being volatile keeps the compiler from doing so with the default. The second tag names
 * the header, by which user space groups the settings.
 */
#define CONFIG_VAR(type, name, doc, ...)                                                           \
	__attribute__((section(".rodata.config"), btf_decl_tag(doc),                               \
		       btf_decl_tag("file:" __FILE_NAME__))) const volatile type name =            \
	    __VA_ARGS__

#endif
