// A program that uses the types generated from openapi.json: client.mjs URL IMAGE. The type
// checker has to accept it as it is; each @ts-expect-error marks a line that it has to
// refuse.

import createClient from 'openapi-fetch';
import type { components, paths } from './api.js';

declare const process: { argv: string[] };

// What a browser or Node sends as a file.
function file(bytes: Uint8Array): string {
    return bytes as unknown as string; // the generator writes binary bodies as strings
}

function box(prediction: components['schemas']['Prediction']): number {
    return prediction.boxes[0].x1 - prediction.boxes[0].x0;
}

export async function run(url: string, bytes: Uint8Array): Promise<string[]> {
    const client = createClient<paths>({ baseUrl: url });
    const found: string[] = [];

    const models = await client.GET('/models');
    for (const model of models.data?.models ?? [])
        if (model.state === 'available')
            found.push(`${model.arch.name} ${model.input.size[0]} ${model.class_count}`);
        else
            // @ts-expect-error: a model that is loading has no description
            found.push(model.digest);

    const one = await client.GET('/models/{name}', { params: { path: { name: 'nope' } } });
    found.push(`${typeof one.error === 'object' ? one.error.status : 'none'}`);

    const image = await client.POST('/localize', {
        params: { query: { top_k: 2, boxes: 'all', heatmap: 'array' } },
        body: file(bytes),
        bodySerializer: (body) => body,
        headers: { 'Content-Type': 'image/jpeg' },
    });
    if (image.data && typeof image.data !== 'string' && 'predictions' in image.data)
        found.push(`${image.data.predictions.length} ${box(image.data.predictions[0]) > 0}`);

    const form = await client.POST('/localize', {
        body: { image: [file(bytes), 'no image'] },
        bodySerializer: (body) => {
            const data = new FormData();
            if (typeof body !== 'string')
                for (const part of body.image)
                    data.append('image', new Blob([part]));
            return data;
        },
    });
    if (form.data && typeof form.data !== 'string' && 'results' in form.data)
        for (const result of form.data.results)
            found.push('error' in result ? result.error.type : result.predictions[0].label);

    const document = await client.GET('/openapi.json');
    found.push(document.data?.openapi ?? '');

    // @ts-expect-error: not one of the values
    await client.POST('/localize', { params: { query: { boxes: 'some' } }, body: file(bytes) });
    // @ts-expect-error: not a path
    await client.GET('/nope');
    // @ts-expect-error: not a method of the path
    await client.GET('/localize');
    return found;
}
