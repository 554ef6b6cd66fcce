/* The tools: what late.js fetches once there may be a use for it. */

import { startActions } from './actions.js';
import { startCard } from './card.js';
import { startCompare } from './compare.js';
import { startCorrect } from './correct.js';
import { startDrawn } from './drawn.js';
import { startReview } from './review.js';
import { startSearch } from './search.js';
import { startStrip } from './strip.js';
import { startTakeaway } from './takeaway.js';

export function startTools() {
    startStrip();
    startActions();
    startSearch();
    startCompare();
    startCard();
    startCorrect();
    startDrawn();
    startTakeaway();
    void startReview();
}
