/* The language of the page. English is in text.js; another one is the file LANGUAGE.json with the same
 * keys and an option of #language in index.html, and nothing else has to know it. The language is the
 * one that a person chose here before, or the first that their browser asks for. */

import { selectOf } from './dom.js';
import { english, useLanguage } from './text.js';

const KEY = 'adl-server language';

/** The first language that is asked for and offered; "ko-KR" is served by "ko".
 * @param {readonly string[]} asked @param {string[]} offered */
export function chosenLanguage(asked, offered) {
    for (const tag of asked) {
        const parts = tag.toLowerCase().split('-');
        for (let length = parts.length; length > 0; length--) {
            const part = parts.slice(0, length).join('-');
            const found = offered.find((each) => each.toLowerCase() === part);
            if (found) {
                return found;
            }
        }
    }
    return offered[0];
}

/** @returns {string | null} */
function remembered() {
    try {
        return localStorage.getItem(KEY);
    } catch {
        return null;
    }
}

/** @param {string} language */
function remember(language) {
    try {
        localStorage.setItem(KEY, language);
    } catch {
        /* A private window: it is asked again. */
    }
}

/** @param {string} language */
async function speak(language) {
    let texts = english;
    if (language !== 'en') {
        try {
            const response = await fetch(`${language}.json`);
            texts = response.ok ? await response.json() : english;
        } catch {
            /* Without the file the page stays as it is. */
        }
    }
    useLanguage(texts === english ? 'en' : language, texts);
}

export async function startLanguages() {
    const select = selectOf('language');
    const offered = [...select.options].map(({ value }) => value);
    const kept = remembered();
    const language = chosenLanguage([...(kept ? [kept] : []), ...navigator.languages], offered);
    select.value = language;
    select.addEventListener('change', () => {
        remember(select.value);
        void speak(select.value);
    });
    if (language !== 'en') {
        await speak(language);
    }
}
