/* Looking for a class whatever the network ranks first. */

import { answerOf, classText, panes } from './answers.js';
import { $, inputOf, readable } from './dom.js';
import { change, state, subscribe } from './state.js';
import { currentPicture, modelNamed } from './store.js';

/** @param {Event} event */
function lookFor(event) {
    event.preventDefault();
    const field = inputOf('other-class');
    const wanted = field.value.trim();
    const plain = readable(wanted).toLowerCase();
    const model = modelNamed(state.model);
    const id = model.classes.findIndex((label) => readable(label).toLowerCase() === plain);
    change({ class: id >= 0 ? classText(model, { label: model.classes[id], class_id: id }) : wanted });
    field.value = '';
}

function showNote() {
    const picture = currentPicture();
    const [pane] = panes();
    const answer = picture && answerOf(picture, pane);
    const problem = pane.class === null ? null : answer?.extra.get(pane.class)?.problem;
    $('other-note').textContent = problem ? problem.detail || problem.message : '';
}

export function startSearch() {
    $('other').addEventListener('submit', lookFor);
    subscribe(['picture', 'class', 'model', 'answers'], showNote);
}
